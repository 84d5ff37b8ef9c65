//! What it costs to send one more request to an endpoint. A pure function.

use crate::latency::{float, places};

/// What is known of an endpoint at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signals {
    /// Nanoseconds for each place in the queue.
    pub(crate) per_place: f64,
    /// Nanoseconds for which an answer has been owed and none has come.
    pub(crate) silence: u64,
    /// In how many nanoseconds silence has lost what it says.
    pub(crate) drift: u64,
    /// The queue, in units of the endpoint's weight, a whole number.
    pub(crate) queue: f64,
    /// In `(0, 1]`.
    pub(crate) success: f64,
}

/// Which differences in latency between an endpoint and the typical one matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Differences {
    /// All of them: they may be what other clients do there.
    All,
    /// Those of more than half as much again, and only what is beyond: where weights say who is to
    /// get how much, chance in the estimates must not say otherwise.
    Great,
}

impl Differences {
    fn of(self, needs: f64, typical: f64) -> f64 {
        match self {
            Self::All => needs,
            Self::Great => typical.clamp(needs / GREAT, needs * GREAT),
        }
    }
}

/// An endpoint that is silent for longer than it should need is taken to need that long, eight
/// times as long as usual at the most; in time that is forgotten, so that it is asked again. Each
/// request in flight counts once more, and a failure far more than its share: where half of the
/// requests fail, one costs eight times as much.
#[inline]
pub(crate) fn cost(signals: Signals, typical: f64, differences: Differences) -> f64 {
    let Signals {
        per_place,
        silence,
        drift,
        queue,
        success,
    } = signals;
    let needs = differences.of(per_place, typical).max(LEAST_LATENCY);
    let takes = needs + doubt(needs, silence, drift, typical);
    over_success(takes * (queue + 1.0), success)
}

#[inline]
fn over_success(cost: f64, success: f64) -> f64 {
    if success == 1.0 {
        cost
    } else {
        cost / success.powi(SEVERITY)
    }
}

/// How much longer than it needs an endpoint is taken to take because it is silent.
#[inline]
fn doubt(needs: f64, silence: u64, drift: u64, typical: f64) -> f64 {
    if silence == 0 {
        return 0.0;
    }
    let silence = float(silence);
    if silence <= needs {
        return 0.0;
    }
    let most = silence.min(needs.max(typical) * MOST_SILENT);
    let forgotten = silence / float(drift.max(1));
    (most - needs).max(0.0) * (1.0 - forgotten).max(0.0)
}

/// The latency that the next request may expect, in nanoseconds: what it takes for one place, for
/// as many places as there are. Failures count as they do in the cost.
pub(crate) fn expected(signals: Signals, typical: f64) -> f64 {
    let Signals {
        per_place,
        silence,
        drift,
        queue,
        success,
    } = signals;
    let takes = per_place + doubt(per_place, silence, drift, typical);
    over_success(takes * places(queue as u32), success)
}

/// Keeps the number in flight in the product when latencies are immeasurably small: 1 µs.
const LEAST_LATENCY: f64 = 1e3;
/// Beyond that an endpoint is avoided anyway, and one that keeps a single answer back for long
/// (a poll that waits for news) must still get some of the requests.
pub(crate) const MOST_SILENT: f64 = 8.0;
const SEVERITY: i32 = 3;
const GREAT: f64 = 1.5;

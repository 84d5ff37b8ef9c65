//! The pure core: what is learnt from each request, and the limit that follows from it.
//!
//! No clock, no lock. Times come in as durations, all state is in atomics.

use std::time::Duration;

use self::estimate::Estimate;
use crate::sync::{AtomicU64, Ordering};

mod estimate;

/// Learns a limit from the latencies of one service.
///
/// The estimate is TCP's (RFC 6298): a smoothed latency, and a smoothed deviation from it. Three
/// things differ, because requests are not round trips:
///
/// - The deviation is one-sided and falls slowly. Only answers slower than the smoothed latency
///   have one, so that a faster answer can never make the limit longer; and it rises by 1/4 but
///   falls by 1/128, because many answers arrive per latency and a limit that forgets the tail
///   within a dozen of fast ones ends good requests.
/// - A request that ended without an answer is a censored sample, known only to take *at least*
///   so long. It can raise the estimate a little, never lower it.
/// - TCP doubles after each timeout until the next clean sample. Here some requests hang, so the
///   limit doubles only for each timeout beyond [`ISOLATED`] in the latest 64 requests, and
///   from [`SUSPICIOUS`] on the estimate may not fall. The factor is kept apart from it: if the
///   answers are slower than they were, it lets them through and they raise the estimate; if
///   there are none, the outage leaves no trace.
#[derive(Debug)]
pub(crate) struct Estimator {
    settings: Settings,
    /// An [`Estimate`], packed: both halves change together or not at all.
    estimate: AtomicU64,
    /// One bit for each of the latest 64 requests, set if it timed out.
    outcomes: AtomicU64,
    /// What the factor multiplies: the bits of an `f64`, nanoseconds. Not the estimate, which rises
    /// with the answers that the factor lets through.
    doubled: AtomicU64,
    samples: AtomicU64,
    timeouts: AtomicU64,
}

impl Estimator {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            estimate: AtomicU64::new(Estimate::NONE),
            outcomes: AtomicU64::new(0),
            doubled: AtomicU64::new(0),
            samples: AtomicU64::new(0),
            timeouts: AtomicU64::new(0),
        }
    }

    /// The limit for a request that starts now.
    pub(crate) fn limit(&self) -> Duration {
        let Settings { min, max, .. } = self.settings;
        let factor = factor(self.outcomes.load(Ordering::Relaxed));
        Duration::from_nanos(self.limit_with(factor) as u64).clamp(min, max)
    }

    /// An answer came. Returns whether this changed the mode.
    pub(crate) fn answered(&self, latency: Duration) -> Option<Transition> {
        let transition = self.change_outcomes(|outcomes| outcomes << 1);
        let relaxing = self.relaxing();
        self.update(|estimate| match estimate {
            None => Estimate::first(nanos(latency)),
            Some(old) if relaxing => old.answered(nanos(latency)).at_least(old),
            Some(old) => old.answered(nanos(latency)),
        });
        self.samples.fetch_add(1, Ordering::Relaxed);
        transition
    }

    /// No answer came within the limit of the request. Returns whether this changed the mode.
    pub(crate) fn timed_out(&self, limit: Duration) -> Option<Transition> {
        self.timeouts.fetch_add(1, Ordering::Relaxed);

        // Requests that started under less than half of this limit say little about it: a hundred
        // in flight when a service slows down double it once or twice, not a hundred times.
        let transition = if limit.saturating_mul(2) < self.limit() {
            self.change_outcomes(renewed)
        } else {
            self.double_from_here();
            self.change_outcomes(|outcomes| (outcomes << 1) | 1)
        };
        self.censored(limit);
        transition
    }

    /// No answer came until the caller gave up after `age`.
    pub(crate) fn cancelled(&self, age: Duration) {
        self.censored(age);
    }

    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.estimate()
            .map(|estimate| duration(estimate.smoothed.into()))
    }

    pub(crate) fn deviation(&self) -> Option<Duration> {
        self.estimate()
            .map(|estimate| duration(estimate.deviation.into()))
    }

    pub(crate) fn samples(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }

    pub(crate) fn timeouts(&self) -> u64 {
        self.timeouts.load(Ordering::Relaxed)
    }

    /// Whether so many requests timed out that the estimate may only grow.
    pub(crate) fn relaxing(&self) -> bool {
        is_suspicious(self.outcomes.load(Ordering::Relaxed))
    }

    /// In nanoseconds, before `max`.
    fn limit_with(&self, factor: f64) -> f64 {
        let calm = self.calm_limit();
        if factor <= 1.0 {
            return calm;
        }
        calm.max(f64::from_bits(self.doubled.load(Ordering::Relaxed)) * factor)
    }

    /// The next doubling doubles the limit that is in force now.
    fn double_from_here(&self) {
        let factor = factor(self.outcomes.load(Ordering::Relaxed));
        let doubled = self.limit_with(factor) / factor;
        // Another thread may do the same in between: one of the two is as good as the other.
        self.doubled.store(doubled.to_bits(), Ordering::Relaxed);
    }

    /// The limit before the factor for timeouts, in nanoseconds: at least `min`, or the first
    /// doublings would be spent below it.
    fn calm_limit(&self) -> f64 {
        let limit = match self.estimate() {
            Some(Estimate {
                smoothed,
                deviation,
            }) if self.samples() >= self.settings.min_samples.into() => {
                let margin = self.settings.deviations * f64::from(deviation);
                f64::from(smoothed) + margin.max(GRANULARITY)
            }
            _ => self.settings.initial.as_nanos() as f64,
        };
        limit.max(self.settings.min.as_nanos() as f64)
    }

    fn censored(&self, age: Duration) {
        // The factor is in charge: hung requests must not leave a trace beside it.
        if self.relaxing() {
            return;
        }
        let at_least = nanos(age.min(self.limit()));
        self.update(|estimate| match estimate {
            None => Estimate::first(at_least),
            Some(old) => old.censored(at_least),
        });
    }

    fn estimate(&self) -> Option<Estimate> {
        Estimate::unpack(self.estimate.load(Ordering::Relaxed))
    }

    fn update(&self, change: impl Fn(Option<Estimate>) -> Estimate) {
        let mut old = self.estimate.load(Ordering::Relaxed);
        loop {
            let new = change(Estimate::unpack(old)).pack();
            match self.estimate.compare_exchange_weak(
                old,
                new,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(current) => old = current,
            }
        }
    }

    fn change_outcomes(&self, change: impl Fn(u64) -> u64) -> Option<Transition> {
        let mut old = self.outcomes.load(Ordering::Relaxed);
        loop {
            let new = change(old);
            // The common case, no timeout in sight, writes nothing.
            if new == old {
                return None;
            }
            match self.outcomes.compare_exchange_weak(
                old,
                new,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Transition::between(old, new),
                Err(current) => old = current,
            }
        }
    }
}

/// See [`Builder`](crate::Builder), which checks them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
    pub(crate) initial: Duration,
    pub(crate) deviations: f64,
    pub(crate) min_samples: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            min: Duration::from_millis(10),
            max: Duration::from_secs(10),
            initial: Duration::from_secs(1),
            deviations: 4.0,
            min_samples: 10,
        }
    }
}

/// A change of mode, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    /// Timeouts are no longer isolated: the estimate may only grow.
    Relaxing,
    /// Timeouts are rare again: the limit follows the answers.
    Following,
}

impl Transition {
    fn between(old: u64, new: u64) -> Option<Self> {
        match (is_suspicious(old), is_suspicious(new)) {
            (false, true) => Some(Self::Relaxing),
            (true, false) => Some(Self::Following),
            _ => None,
        }
    }
}

/// One more timeout in place of the oldest: the evidence is renewed but does not grow.
fn renewed(outcomes: u64) -> u64 {
    let new = (outcomes << 1) | 1;
    if timeouts_in(new) == timeouts_in(outcomes) {
        return new;
    }
    new & !(1 << (63 - new.leading_zeros()))
}

/// How many times longer the limit is for the timeouts that are not isolated.
fn factor(outcomes: u64) -> f64 {
    (1_u64 << timeouts_in(outcomes).saturating_sub(ISOLATED)) as f64
}

fn is_suspicious(outcomes: u64) -> bool {
    timeouts_in(outcomes) >= SUSPICIOUS
}

fn timeouts_in(outcomes: u64) -> u32 {
    outcomes.count_ones()
}

fn nanos(duration: Duration) -> f32 {
    duration.as_nanos().max(1) as f32
}

fn duration(nanos: f64) -> Duration {
    Duration::from_nanos(nanos as u64)
}

/// The clock granularity `G` of RFC 6298: tokio's timers tick in milliseconds.
const GRANULARITY: f64 = 1e6;

/// How many timeouts in the latest 64 requests are put down to hung ones: 1 in 11.
const ISOLATED: u32 = 6;

/// From how many on the estimate may not fall: it would forget how slow the service was before
/// it is known whether these requests hang or are slow.
const SUSPICIOUS: u32 = 5;

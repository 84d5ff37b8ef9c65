//! The pure core: what is learnt from each request, and the limit that follows from it.
//!
//! No clock. Times come in as durations, and as nanoseconds since an epoch.

use std::time::Duration;

pub use self::estimate::Estimate;
pub(crate) use self::{guard::Guard, pace::Pace, quantile::Quantile, smoothed::Smoothed};

mod estimate;
mod guard;
mod pace;
mod quantile;
mod smoothed;

/// Learns a limit from the latencies of one service, by the rule of its settings.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a smoothed one, of which there may be one for each of many keys, is one allocation"
)]
pub(crate) enum Estimator {
    Smoothed(Smoothed),
    Quantile(Box<Quantile>),
}

impl Estimator {
    pub(crate) fn new(settings: Settings) -> Self {
        match settings.rule {
            Rule::Deviations(deviations) => Self::Smoothed(Smoothed::new(settings, deviations)),
            Rule::Quantile { quantile, factor } => {
                Self::Quantile(Box::new(Quantile::new(settings, quantile, factor)))
            }
        }
    }

    /// The limit for a request that starts now.
    #[inline]
    pub(crate) fn limit(&self) -> Duration {
        match self {
            Self::Smoothed(smoothed) => smoothed.limit(),
            Self::Quantile(quantile) => quantile.limit(),
        }
    }

    /// Whether a request that starts now is to be learnt from: see [`Pace`].
    #[inline]
    pub(crate) fn measures(&self, now: impl FnOnce() -> u64, random: impl FnOnce() -> u32) -> bool {
        match self {
            Self::Smoothed(smoothed) => smoothed.pace().measures(now, random),
            Self::Quantile(quantile) => quantile.pace().measures(now, random),
        }
    }

    /// A request that started then was not answered at once: it is in flight until it has
    /// [`ended`](Self::ended).
    #[inline]
    pub(crate) fn waits(&self, start: u64) {
        if let Self::Quantile(quantile) = self {
            quantile.waits(start);
        }
    }

    /// A request that waited is in flight no more, whatever came of it.
    #[inline]
    pub(crate) fn ended(&self, start: u64, now: u64) {
        if let Self::Quantile(quantile) = self {
            quantile.ended(start, now);
        }
    }

    /// An answer came. Returns whether this changed the mode.
    #[inline]
    pub(crate) fn answered(&self, latency: Duration, now: u64) -> Option<Transition> {
        match self {
            Self::Smoothed(smoothed) => smoothed.answered(latency, now),
            Self::Quantile(quantile) => quantile.answered(latency, now),
        }
    }

    /// No answer came within the limit of the request. Returns whether this changed the mode.
    pub(crate) fn timed_out(&self, limit: Duration, now: u64) -> Option<Transition> {
        match self {
            Self::Smoothed(smoothed) => smoothed.timed_out(limit, now),
            Self::Quantile(quantile) => quantile.timed_out(limit, now),
        }
    }

    /// No answer came to a request that is not measured.
    pub(crate) fn timed_out_unmeasured(&self) {
        match self {
            Self::Smoothed(smoothed) => smoothed.guard().count_timeout(),
            Self::Quantile(quantile) => quantile.guard().count_timeout(),
        }
    }

    /// No answer came until the caller gave up after `age`.
    pub(crate) fn cancelled(&self, age: Duration, now: u64) {
        match self {
            Self::Smoothed(smoothed) => smoothed.cancelled(age),
            Self::Quantile(quantile) => quantile.cancelled(age, now),
        }
    }

    pub(crate) fn samples(&self) -> u64 {
        match self {
            Self::Smoothed(smoothed) => smoothed.samples(),
            Self::Quantile(quantile) => quantile.samples(),
        }
    }

    pub(crate) fn timeouts(&self) -> u64 {
        match self {
            Self::Smoothed(smoothed) => smoothed.timeouts(),
            Self::Quantile(quantile) => quantile.timeouts(),
        }
    }

    /// `None` until there are enough samples.
    pub(crate) fn estimate(&self) -> Option<Estimate> {
        match self {
            Self::Smoothed(smoothed) => smoothed.estimate(),
            Self::Quantile(quantile) => quantile.estimate(),
        }
    }

    /// Whether so many requests timed out that the estimate may only grow.
    pub(crate) fn relaxing(&self) -> bool {
        match self {
            Self::Smoothed(smoothed) => smoothed.relaxing(),
            Self::Quantile(quantile) => quantile.relaxing(),
        }
    }
}

/// See [`Builder`](crate::Builder), which checks them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) rule: Rule,
    pub(crate) min: Duration,
    pub(crate) max: Duration,
    pub(crate) initial: Duration,
    pub(crate) min_samples: u32,
    pub(crate) window: Duration,
    pub(crate) samples_per_second: u32,
    pub(crate) start_from: Option<Estimate>,
    /// The default depends on the rule.
    pub(crate) tolerated_timeouts: Option<f64>,
}

/// What the limit is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Smoothed latency + so many deviations.
    Deviations(f64),
    /// A quantile of the latencies, times a factor.
    Quantile { quantile: f64, factor: f64 },
}

impl Rule {
    /// The default of an estimator that is one of few.
    pub(crate) const QUANTILE: Self = Self::Quantile {
        quantile: 0.999,
        factor: 1.0,
    };

    /// The default of one of many.
    pub(crate) const SMOOTHED: Self = Self::Deviations(4.0);
}

impl Settings {
    fn guard(&self) -> Guard {
        let tolerated = self.tolerated_timeouts.unwrap_or(match self.rule {
            Rule::Deviations(_) => 0.1,
            Rule::Quantile { .. } => 0.125,
        });
        Guard::new(tolerated, self.max)
    }

    /// The limit of so many nanoseconds, between the floor and the ceiling.
    fn clamp(&self, nanos: f64) -> Duration {
        Duration::from_nanos(nanos as u64).clamp(self.min, self.max)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rule: Rule::QUANTILE,
            min: Duration::from_millis(10),
            max: Duration::from_secs(10),
            initial: Duration::from_secs(1),
            min_samples: 10,
            window: Duration::from_secs(60),
            samples_per_second: 10_000,
            start_from: None,
            tolerated_timeouts: None,
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

/// No latency is less than a nanosecond.
#[inline]
fn nanos(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000_000);
    seconds
        .saturating_add(duration.subsec_nanos().into())
        .max(1)
}

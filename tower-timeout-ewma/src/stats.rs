use std::time::Duration;

use crate::estimator::Estimator;

/// What an adaptive timeout knows at one moment. A fixed limit is all that a fixed one knows.
///
/// The fields are read one after another while requests go on, so they may be a few requests apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The limit that the next request gets.
    pub limit: Duration,
    /// The smoothed latency; `None` before the first observation.
    pub smoothed: Option<Duration>,
    /// The smoothed excess of slow answers over the smoothed latency; `None` before the first
    /// observation.
    pub deviation: Option<Duration>,
    /// Answers whose latency was learnt. Errors, and answers that [`Classify`](crate::Classify)
    /// says are no samples, are not among them.
    pub samples: u64,
    /// Requests that were ended by their limit.
    pub timeouts: u64,
    /// Whether so many of the latest 64 requests timed out, 5 or more, that the estimate may only
    /// grow.
    pub relaxing: bool,
}

impl Stats {
    /// Of a limit that nothing is learnt for.
    pub(crate) fn fixed(limit: Duration) -> Self {
        Self {
            limit,
            smoothed: None,
            deviation: None,
            samples: 0,
            timeouts: 0,
            relaxing: false,
        }
    }

    pub(crate) fn of(estimator: &Estimator) -> Self {
        Self {
            limit: estimator.limit(),
            smoothed: estimator.smoothed(),
            deviation: estimator.deviation(),
            samples: estimator.samples(),
            timeouts: estimator.timeouts(),
            relaxing: estimator.relaxing(),
        }
    }
}

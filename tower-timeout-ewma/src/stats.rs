use std::time::Duration;

use crate::estimator::{Estimate, Estimator};

/// What an adaptive timeout knows at one moment. A fixed limit is all that a fixed one knows.
///
/// The fields are read one after another while requests go on, so they may be a few requests apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The limit that the next request gets.
    pub limit: Duration,
    /// The latency of a usual request and the limit that is learnt, before the guard, `min` and
    /// `max`; `None` until there are enough samples. To start from another time.
    pub estimate: Option<Estimate>,
    /// Answers whose latency was learnt. Errors, answers that [`Classify`](crate::Classify) says are no
    /// samples, and those beyond [`samples_per_second`](crate::Builder::samples_per_second) are not
    /// among them.
    pub samples: u64,
    /// Requests that were ended by their limit.
    pub timeouts: u64,
    /// Whether about as many of the latest 64 requests timed out as are
    /// [tolerated](crate::Builder::tolerated_timeouts), or more.
    pub relaxing: bool,
}

impl Stats {
    /// Of a limit that nothing is learnt for.
    pub(crate) fn fixed(limit: Duration) -> Self {
        Self {
            limit,
            estimate: None,
            samples: 0,
            timeouts: 0,
            relaxing: false,
        }
    }

    pub(crate) fn of(estimator: &Estimator) -> Self {
        Self {
            limit: estimator.limit(),
            estimate: estimator.estimate(),
            samples: estimator.samples(),
            timeouts: estimator.timeouts(),
            relaxing: estimator.relaxing(),
        }
    }
}

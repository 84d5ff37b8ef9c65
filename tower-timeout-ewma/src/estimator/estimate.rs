use std::time::Duration;

/// What is known of a service's latencies, in two durations that can be stored: so that a process
/// that starts anew need not learn it again.
///
/// ```
/// use std::time::Duration;
///
/// use tower_timeout_ewma::{AdaptiveTimeoutLayer, Estimate};
///
/// let stored = Estimate::new(Duration::from_millis(15), Duration::from_millis(180));
/// let layer = AdaptiveTimeoutLayer::builder().start_from(stored).build()?;
/// assert!(layer.limit() < Duration::from_millis(400));
/// # Ok::<_, tower_timeout_ewma::error::InvalidSetting>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    typical: Duration,
    limit: Duration,
}

impl Estimate {
    /// From the latency of a usual request, and the limit that was learnt from them. Any two durations
    /// will do: what a shorter limit than latency would mean is for the estimator to find out.
    pub fn new(typical: Duration, limit: Duration) -> Self {
        Self { typical, limit }
    }

    /// The latency of a usual request: the median, or the smoothed one.
    pub fn typical(&self) -> Duration {
        self.typical
    }

    /// The limit before the guard, and before `min` and `max`.
    pub fn limit(&self) -> Duration {
        self.limit
    }
}

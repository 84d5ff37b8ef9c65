/// Whether the latency of an answer says how long the service takes.
///
/// Any `Fn(&T) -> bool` is a `Classify<T>`. An answer that is no sample is like an `Err`: it goes
/// to the caller, and nothing is learnt from it.
///
/// ```
/// use tower_timeout_ewma::AdaptiveTimeoutLayer;
///
/// struct Answer {
///     busy: bool,
/// }
///
/// let layer = AdaptiveTimeoutLayer::builder()
///     .classify(|answer: &Answer| !answer.busy)
///     .build()?;
/// # let _ = layer;
/// # Ok::<_, tower_timeout_ewma::error::InvalidSetting>(())
/// ```
pub trait Classify<T> {
    /// Whether to learn from the latency of `response`.
    fn is_sample(&self, response: &T) -> bool;
}

impl<T, F: Fn(&T) -> bool> Classify<T> for F {
    fn is_sample(&self, response: &T) -> bool {
        self(response)
    }
}

/// Every `Ok` is a sample: for services whose failures are all errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EveryAnswer;

impl<T> Classify<T> for EveryAnswer {
    fn is_sample(&self, _: &T) -> bool {
        true
    }
}

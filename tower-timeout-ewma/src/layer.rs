use std::{sync::Arc, time::Duration};

use tower_layer::Layer;

use crate::{
    builder::Builder,
    estimator::{Estimator, Settings},
    service::AdaptiveTimeout,
    stats::Stats,
};

/// Ends requests that take much longer than the service's answers usually do.
///
/// Clones of a layer, and all services made by them, share one estimator: use one layer for what
/// has one latency, for example one endpoint or one route. See the [crate documentation](crate).
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct AdaptiveTimeoutLayer {
    estimator: Arc<Estimator>,
}

impl AdaptiveTimeoutLayer {
    /// A layer with the default settings: see [`Builder`].
    pub fn new() -> Self {
        Self::from_settings(Settings::default())
    }

    /// A layer whose limit never changes.
    ///
    /// It still observes, so that [`stats`](Self::stats) show what it sees. With a limit of zero
    /// only an answer that is there at the first poll gets through.
    pub fn fixed(limit: Duration) -> Self {
        Self::from_settings(Settings::fixed(limit))
    }

    /// Starts from the default settings.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The limit that the next request gets.
    pub fn limit(&self) -> Duration {
        self.estimator.limit()
    }

    /// What is known now.
    pub fn stats(&self) -> Stats {
        Stats::of(&self.estimator)
    }

    pub(crate) fn from_settings(settings: Settings) -> Self {
        Self {
            estimator: Arc::new(Estimator::new(settings)),
        }
    }
}

impl Default for AdaptiveTimeoutLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for AdaptiveTimeoutLayer {
    type Service = AdaptiveTimeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AdaptiveTimeout::new(inner, Arc::clone(&self.estimator))
    }
}

use std::{fmt, time::Duration};

use tower_layer::Layer;

use crate::{
    EveryAnswer, builder::Builder, estimator::Settings, limiter::Limiter, service::AdaptiveTimeout,
    stats::Stats,
};

/// Ends requests that take much longer than the service's answers usually do.
///
/// Clones of a layer, and all services made by them, share one estimator: use one layer for what
/// has one latency, for example one endpoint or one route. `C` says which answers it learns from:
/// see [`Builder::classify`], and the [crate documentation](crate).
#[must_use = "a layer does nothing until it wraps a service"]
pub struct AdaptiveTimeoutLayer<C = EveryAnswer> {
    limiter: Limiter<C>,
}

impl AdaptiveTimeoutLayer {
    /// A layer with the default settings: see [`Builder`].
    pub fn new() -> Self {
        Self::learnt(Settings::default(), EveryAnswer)
    }

    /// A layer whose limit never changes.
    ///
    /// It observes nothing: its [`stats`](Self::stats) have the limit only. With a limit of zero
    /// only an answer that is there at the first poll gets through.
    pub fn fixed(limit: Duration) -> Self {
        Self::unchanging(limit)
    }

    /// Starts from the default settings.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl<C> AdaptiveTimeoutLayer<C> {
    /// The limit that the next request gets.
    pub fn limit(&self) -> Duration {
        self.limiter.limit()
    }

    /// What is known now.
    pub fn stats(&self) -> Stats {
        self.limiter.stats()
    }

    pub(crate) fn learnt(settings: Settings, classify: C) -> Self {
        Self {
            limiter: Limiter::learnt(settings, classify),
        }
    }

    pub(crate) fn unchanging(limit: Duration) -> Self {
        Self {
            limiter: Limiter::Fixed(limit),
        }
    }
}

impl Default for AdaptiveTimeoutLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, C> Layer<S> for AdaptiveTimeoutLayer<C> {
    type Service = AdaptiveTimeout<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        AdaptiveTimeout::new(inner, self.limiter.clone())
    }
}

// Not derived: `C` need not be `Clone` or `Debug`.
impl<C> Clone for AdaptiveTimeoutLayer<C> {
    fn clone(&self) -> Self {
        Self {
            limiter: self.limiter.clone(),
        }
    }
}

impl<C> fmt::Debug for AdaptiveTimeoutLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptiveTimeoutLayer")
            .field("limiter", &self.limiter)
            .finish()
    }
}

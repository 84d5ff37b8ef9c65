//! The layer.

use std::{fmt, sync::Arc};

use tower_layer::Layer;

use crate::{
    budget::Budget,
    builder::{Builder, Settings},
    deadline::Latencies,
    per_try::{PerTry, Timed, Untimed},
    policy::OnError,
    replay::CloneRequest,
    service::{Retry, Shared},
    stats::{Counters, RetryStats},
    waits::Seeds,
};

/// Retries what fails, within a [`Budget`]. See the [crate's documentation](crate).
///
/// `T` is [`Untimed`], or [`PerTry`] for a layer with a limit for each attempt.
#[must_use = "a layer does nothing until it is put on a service"]
pub struct RetryLayer<P = OnError, R = CloneRequest, T = Untimed> {
    shared: Arc<Shared<P, R>>,
    tries: T,
}

impl RetryLayer {
    /// Retries each error, with the default settings. The request is cloned.
    pub fn new(budget: Budget) -> Self {
        Self::from_settings(Self::builder(budget))
    }

    /// Sets up a layer.
    pub fn builder(budget: Budget) -> Builder {
        Builder::new(budget)
    }
}

impl<P, R, T> RetryLayer<P, R, T> {
    /// What this layer has done, in all its services.
    pub fn stats(&self) -> RetryStats {
        self.shared.counters.snapshot()
    }

    pub(crate) fn from_settings(builder: Builder<P, R, T>) -> Self {
        let Settings {
            budget,
            attempts,
            resends,
            backoff,
            seed,
            ready_timeout,
        } = builder.settings;
        Self {
            shared: Arc::new(Shared {
                budget,
                attempts,
                resends,
                backoff,
                seeds: Seeds::new(seed),
                ready_timeout,
                policy: builder.policy,
                replay: builder.replay,
                latencies: Latencies::new(),
                counters: Counters::default(),
            }),
            tries: builder.tries,
        }
    }
}

impl<S: Clone, P, R> Layer<S> for RetryLayer<P, R> {
    type Service = Retry<S, P, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry::new(inner, Arc::clone(&self.shared))
    }
}

impl<S: Clone, P, R> Layer<S> for RetryLayer<P, R, PerTry> {
    type Service = Retry<Timed<S>, P, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry::new(self.tries.over(inner), Arc::clone(&self.shared))
    }
}

impl<P, R, T: Clone> Clone for RetryLayer<P, R, T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            tries: self.tries.clone(),
        }
    }
}

impl<P, R, T: fmt::Debug> fmt::Debug for RetryLayer<P, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RetryLayer");
        debug.field("tries", &self.tries);
        self.shared.debug(&mut debug).finish()
    }
}

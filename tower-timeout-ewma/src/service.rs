use std::{
    fmt,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;
use tower_service::Service;

use crate::{
    BoxError, Classify, EveryAnswer, future::ResponseFuture, limiter::Limiter, stats::Stats,
};

/// A service whose requests end at a learnt limit. Made by
/// [`AdaptiveTimeoutLayer`](crate::AdaptiveTimeoutLayer).
///
/// Clones share one estimator. `C` says which answers it learns from.
pub struct AdaptiveTimeout<S, C = EveryAnswer> {
    inner: S,
    limiter: Limiter<C>,
}

impl<S, C> AdaptiveTimeout<S, C> {
    pub(crate) fn new(inner: S, limiter: Limiter<C>) -> Self {
        Self { inner, limiter }
    }

    /// The limit that the next request gets.
    pub fn limit(&self) -> Duration {
        self.limiter.limit()
    }

    /// What is known now.
    pub fn stats(&self) -> Stats {
        self.limiter.stats()
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, mutable.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Gives the inner service back.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, Req, C> Service<Req> for AdaptiveTimeout<S, C>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    C: Classify<S::Response>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let limit = self.limiter.limit();
        let start = Instant::now();
        let inner = self.inner.call(request);
        ResponseFuture::new(inner, self.limiter.watch(), start, limit)
    }
}

// Not derived: `C` need not be `Clone` or `Debug`.
impl<S: Clone, C> Clone for AdaptiveTimeout<S, C> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.limiter.clone())
    }
}

impl<S: fmt::Debug, C> fmt::Debug for AdaptiveTimeout<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptiveTimeout")
            .field("inner", &self.inner)
            .field("limiter", &self.limiter)
            .finish()
    }
}

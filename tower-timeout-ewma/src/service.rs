use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;
use tower_service::Service;

use crate::{BoxError, estimator::Estimator, future::ResponseFuture, stats::Stats};

/// A service whose requests end at a learnt limit. Made by
/// [`AdaptiveTimeoutLayer`](crate::AdaptiveTimeoutLayer).
///
/// Clones share one estimator.
#[derive(Clone, Debug)]
pub struct AdaptiveTimeout<S> {
    inner: S,
    estimator: Arc<Estimator>,
}

impl<S> AdaptiveTimeout<S> {
    pub(crate) fn new(inner: S, estimator: Arc<Estimator>) -> Self {
        Self { inner, estimator }
    }

    /// The limit that the next request gets.
    pub fn limit(&self) -> Duration {
        self.estimator.limit()
    }

    /// What is known now.
    pub fn stats(&self) -> Stats {
        Stats::of(&self.estimator)
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

impl<S, Req> Service<Req> for AdaptiveTimeout<S>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let limit = self.estimator.limit();
        let start = Instant::now();
        ResponseFuture::new(
            self.inner.call(request),
            Arc::clone(&self.estimator),
            start,
            limit,
        )
    }
}

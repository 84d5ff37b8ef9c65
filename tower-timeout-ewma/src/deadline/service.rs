use std::task::{Context, Poll};

use tokio::time::Instant;
use tower_service::Service;

use crate::{
    BoxError,
    deadline::{Source, future::DeadlineFuture},
    error::Expired,
};

/// A service whose requests end at their deadline. Made by
/// [`DeadlineLayer`](super::DeadlineLayer).
///
/// A refused request never reaches the inner service, whose readiness stays for the next one.
#[derive(Clone, Debug)]
pub struct Deadlines<S, Src> {
    inner: S,
    source: Src,
}

impl<S, Src> Deadlines<S, Src> {
    /// Wraps `inner`; deadlines come from `source`.
    pub fn new(inner: S, source: Src) -> Self {
        Self { inner, source }
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

impl<S, Src, Req> Service<Req> for Deadlines<S, Src>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    Src: Source<Req>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = DeadlineFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Req) -> Self::Future {
        let now = Instant::now();
        let Some(deadline) = self.source.deadline(&request, now) else {
            self.source.without(&mut request);
            return DeadlineFuture::unlimited(self.inner.call(request));
        };
        let left = deadline.remaining(now);
        if left.is_zero() {
            let overdue = now.saturating_duration_since(deadline.instant());
            tracing::trace!(?overdue, "refused: the deadline has passed");
            return DeadlineFuture::refused(Expired::refused(overdue));
        }
        self.source.forward(&mut request, deadline, now);
        DeadlineFuture::limited(self.inner.call(request), deadline, left)
    }
}

use std::task::{Context, Poll};

use tower_service::Service;

use super::{Respond, RespondFuture};
use crate::BoxError;

/// A service that answers what timed out. Made by [`RespondLayer`](super::RespondLayer).
#[derive(Clone, Copy, Debug)]
pub struct Responding<S, R> {
    inner: S,
    respond: R,
}

impl<S, R> Responding<S, R> {
    /// Wraps `inner`; answers are made by `respond`.
    pub fn new(inner: S, respond: R) -> Self {
        Self { inner, respond }
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

impl<S, R, Req> Service<Req> for Responding<S, R>
where
    S: Service<Req, Error: Into<BoxError>>,
    R: Respond<Req, S::Response>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = RespondFuture<S::Future, R::Answer>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let answer = self.respond.prepare(&request);
        RespondFuture::new(self.inner.call(request), answer)
    }
}

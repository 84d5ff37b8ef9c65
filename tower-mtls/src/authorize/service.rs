use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tower_service::Service;
use tracing::{debug, info};

use super::{
    Fail, Policy, Respond,
    layer::{Gate, Verdict},
};
use crate::PeerIdentity;

/// A service behind a policy: what [`AuthorizeLayer`](super::AuthorizeLayer) makes.
///
/// It is ready when the service inside is. A refused request ends in [`Denied`](crate::error::Denied) from the response
/// future, or in the response that the layer makes in its place; the service inside never sees it, and
/// stays ready for the next one.
#[derive(Clone)]
pub struct Authorize<S, F, P, R = Fail> {
    inner: S,
    gate: Gate<F, P>,
    respond: R,
}

impl<S, F, P, R> Authorize<S, F, P, R> {
    pub(super) fn new(inner: S, gate: Gate<F, P>, respond: R) -> Self {
        Self {
            inner,
            gate,
            respond,
        }
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, F, P, R, Req> Service<Req> for Authorize<S, F, P, R>
where
    S: Service<Req>,
    S::Error: Into<R::Error>,
    F: Fn(&Req) -> Option<&PeerIdentity>,
    P: Policy<Req>,
    R: Respond<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = R::Error;
    type Future = ResponseFuture<S::Future, S::Response, R::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), R::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        match self.gate.check(&request) {
            Verdict::Permitted => {}
            Verdict::Audited(denied) => {
                info!(reason = %denied.reason(), peer = denied.peer().map(tracing::field::display), "would be denied");
            }
            Verdict::Denied(denied) => {
                debug!(reason = %denied.reason(), peer = denied.peer().map(tracing::field::display), "denied");
                return ResponseFuture::refused(self.respond.respond(denied, &request));
            }
        }
        ResponseFuture::permitted(self.inner.call(request))
    }
}

impl<S: fmt::Debug, F, P: fmt::Debug, R> fmt::Debug for Authorize<S, F, P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorize")
            .field("inner", &self.inner)
            .field("policy", self.gate.policy())
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The answer of the service inside, or what a refused request gets.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future of the service inside, and nothing else.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, T, E> {
        #[pin]
        state: State<F, T, E>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, T, E> {
        Permitted { #[pin] response: F },
        Refused { outcome: Option<Result<T, E>> },
    }
}

impl<F, T, E> ResponseFuture<F, T, E> {
    fn permitted(response: F) -> Self {
        Self {
            state: State::Permitted { response },
        }
    }

    fn refused(outcome: Result<T, E>) -> Self {
        Self {
            state: State::Refused {
                outcome: Some(outcome),
            },
        }
    }
}

impl<F, T, E, E2> Future for ResponseFuture<F, T, E>
where
    F: Future<Output = Result<T, E2>>,
    E2: Into<E>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Permitted { response } => response.poll(cx).map_err(Into::into),
            StateProjection::Refused { outcome } => match outcome.take() {
                Some(outcome) => Poll::Ready(outcome),
                None => Poll::Pending,
            },
        }
    }
}

impl<F, T, E> fmt::Debug for ResponseFuture<F, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Permitted { .. } => "permitted",
            State::Refused { .. } => "refused",
        };
        f.debug_tuple("ResponseFuture").field(&state).finish()
    }
}

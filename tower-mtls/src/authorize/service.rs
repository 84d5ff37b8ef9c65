use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tower_service::Service;
use tracing::trace;

use super::layer::Policy;
use crate::{
    PeerIdentity,
    error::{BoxError, Denied},
};

/// A service behind an allow list: what [`AuthorizeLayer`](super::AuthorizeLayer) makes.
///
/// It is ready when the service inside is. A refused request ends in [`Denied`] from the response
/// future; the service inside never sees it, and stays ready for the next one.
#[derive(Clone)]
pub struct Authorize<S, F> {
    inner: S,
    policy: Policy<F>,
}

impl<S, F> Authorize<S, F> {
    pub(super) fn new(inner: S, policy: Policy<F>) -> Self {
        Self { inner, policy }
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, F, Req> Service<Req> for Authorize<S, F>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    F: Fn(&Req) -> Option<&PeerIdentity>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        match self.policy.check(&request) {
            Ok(()) => ResponseFuture::permitted(self.inner.call(request)),
            Err(peer) => {
                trace!(peer = peer.as_ref().map(tracing::field::display), "denied");
                ResponseFuture::denied(Denied::new(peer))
            }
        }
    }
}

impl<S: fmt::Debug, F> fmt::Debug for Authorize<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorize")
            .field("inner", &self.inner)
            .field("allow", self.policy.allow())
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The answer of the service inside, or [`Denied`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future of the service inside, and nothing else.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProjection]
    enum State<F> {
        Permitted { #[pin] response: F },
        Denied { error: Option<Denied> },
    }
}

impl<F> ResponseFuture<F> {
    fn permitted(response: F) -> Self {
        Self {
            state: State::Permitted { response },
        }
    }

    fn denied(error: Denied) -> Self {
        Self {
            state: State::Denied { error: Some(error) },
        }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Permitted { response } => response.poll(cx).map_err(Into::into),
            StateProjection::Denied { error } => match error.take() {
                Some(error) => Poll::Ready(Err(error.into())),
                None => Poll::Pending,
            },
        }
    }
}

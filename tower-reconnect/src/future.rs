//! The future of a response.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::error::{BoxError, Closed, NoRuntime, NotReady, Unavailable};

pin_project! {
    /// The response of a [`Reconnect`](crate::Reconnect), or the reason why the request was not
    /// sent.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the connection's own future and nothing else: neither the connection nor
    /// a dial that is under way ends by it.
    pub struct ResponseFuture<F> {
        #[pin]
        kind: Kind<F>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<F> {
        Sent { #[pin] response: F },
        Refused { refusal: Refusal },
        NotReady,
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) fn sent(response: F) -> Self {
        let kind = Kind::Sent { response };
        Self { kind }
    }

    pub(crate) fn refused(refusal: Refusal) -> Self {
        let kind = Kind::Refused { refusal };
        Self { kind }
    }

    pub(crate) fn not_ready() -> Self {
        let kind = Kind::NotReady;
        Self { kind }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProj::Sent { response } => response.poll(context).map_err(Into::into),
            KindProj::Refused { refusal } => Poll::Ready(Err(refusal.clone().into())),
            KindProj::NotReady => Poll::Ready(Err(NotReady.into())),
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// Why a request will not be sent.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    Unavailable(Unavailable),
    NoRuntime(NoRuntime),
    Closed(Closed),
}

impl From<Refusal> for BoxError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unavailable(error) => error.into(),
            Refusal::NoRuntime(error) => error.into(),
            Refusal::Closed(error) => error.into(),
        }
    }
}

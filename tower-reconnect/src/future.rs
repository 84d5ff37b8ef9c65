//! The future of a response.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::{
    error::{BoxError, Closed, NoRuntime, NotReady, NotSent, Unavailable},
    rule::Rule,
};

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
        Sent { #[pin] response: F, unsent: Rule },
        Refused { refusal: Refusal },
        NotReady,
    }
}

impl<F> ResponseFuture<F> {
    /// `unsent` tells the errors of requests that were not sent after all.
    pub(crate) fn sent(response: F, unsent: &Rule) -> Self {
        let unsent = unsent.clone();
        let kind = Kind::Sent { response, unsent };
        Self { kind }
    }

    /// For this reason, or because the caller did not wait for readiness.
    #[cold]
    pub(crate) fn refused(refusal: Option<Refusal>) -> Self {
        let kind = refusal.map_or(Kind::NotReady, |refusal| Kind::Refused { refusal });
        Self { kind }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProj::Sent { response, unsent } => match response.poll(context) {
                Poll::Ready(Ok(answer)) => Poll::Ready(Ok(answer)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(failure(error.into(), unsent))),
                Poll::Pending => Poll::Pending,
            },
            KindProj::Refused { refusal } => Poll::Ready(Err(refusal.clone().into())),
            KindProj::NotReady => Poll::Ready(Err(NotReady.into())),
        }
    }
}

#[cold]
fn failure(error: BoxError, unsent: &Rule) -> BoxError {
    match unsent.is_true_for(&*error) {
        true => NotSent::new(error).into(),
        false => error,
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// Why a request will not be sent. Small, as it has a place in each handle and each response.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    Unavailable(Box<Unavailable>),
    NoRuntime(NoRuntime),
    Closed(Box<Closed>),
}

impl From<Refusal> for BoxError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unavailable(error) => error,
            Refusal::NoRuntime(error) => error.into(),
            Refusal::Closed(error) => error,
        }
    }
}

//! The future of a response.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::{
    error::{BoxError, Closed, NoRuntime, NotReady, NotSent, Unavailable},
    work::Work,
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
        Sent { #[pin] response: F, work: Option<Arc<Work>> },
        Refused { refusal: Refusal },
        NotReady,
    }
}

impl<F> ResponseFuture<F> {
    /// `work` is told of an answer, and what an error means, if there is any rule.
    #[inline]
    pub(crate) fn sent(response: F, work: Option<Arc<Work>>) -> Self {
        let kind = Kind::Sent { response, work };
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
            KindProj::Sent { response, work } => match response.poll(context) {
                Poll::Ready(Ok(answer)) => {
                    if let Some(work) = work {
                        work.answered();
                    }
                    Poll::Ready(Ok(answer))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(failure(error, work.as_deref()))),
                Poll::Pending => Poll::Pending,
            },
            KindProj::Refused { refusal } => Poll::Ready(Err(refused(refusal))),
            KindProj::NotReady => Poll::Ready(Err(NotReady.into())),
        }
    }
}

// Apart from the poll, so that it is small enough to be inlined.
#[cold]
#[inline(never)]
fn failure(error: impl Into<BoxError>, work: Option<&Work>) -> BoxError {
    let error = error.into();
    match work.is_some_and(|work| work.unsent.is_true_for(&*error)) {
        true => NotSent::new(error).into(),
        false => error,
    }
}

#[cold]
#[inline(never)]
fn refused(refusal: &Refusal) -> BoxError {
    refusal.clone().into()
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

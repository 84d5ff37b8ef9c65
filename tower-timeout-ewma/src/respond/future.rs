use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::{Answer, TimedOut};
use crate::BoxError;

pin_project! {
    /// The response of [`Responding`](super::Responding). It must not be polled again once it has
    /// ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the inner future.
    #[must_use = "futures do nothing unless polled"]
    pub struct RespondFuture<F, A> {
        #[pin]
        inner: F,
        answer: Option<A>,
    }
}

impl<F, A> RespondFuture<F, A> {
    pub(super) fn new(inner: F, answer: A) -> Self {
        Self {
            inner,
            answer: Some(answer),
        }
    }
}

impl<F, A, T, E> Future for RespondFuture<F, A>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
    A: Answer<T>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let error = match ready!(this.inner.poll(cx)) {
            Ok(response) => return Poll::Ready(Ok(response)),
            Err(error) => error.into(),
        };
        let answer = TimedOut::of(error.as_ref()).and_then(|why| {
            let answer = this.answer.take()?;
            Some(answer.answer(why))
        });
        Poll::Ready(answer.ok_or(error))
    }
}

impl<F: fmt::Debug, A> fmt::Debug for RespondFuture<F, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RespondFuture")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

//! The response futures.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

pub use crate::deadline::future::DeadlineFuture;
use crate::{
    BoxError, Classify, EveryAnswer,
    error::Elapsed,
    limiter::{Watch, since},
    timer::Timer,
};

pin_project! {
    /// The response of an [`AdaptiveTimeout`](crate::AdaptiveTimeout).
    ///
    /// The inner future is dropped as soon as it has ended or its limit has passed. A future that
    /// is polled again after that stays pending.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the inner future, and its age counts as a latency of *at least* so long,
    /// if it had been polled.
    pub struct ResponseFuture<F, C = EveryAnswer> {
        #[pin]
        inner: Option<F>,
        #[pin]
        timer: Timer,
        watch: Watch<C>,
        start: Instant,
        limit: Duration,
        waits: bool,
    }

    impl<F, C> PinnedDrop for ResponseFuture<F, C> {
        fn drop(this: Pin<&mut Self>) {
            if this.waits && this.inner.is_some() {
                this.watch.cancelled(this.start);
            }
        }
    }
}

impl<F, C> ResponseFuture<F, C> {
    pub(crate) fn new(inner: F, watch: Watch<C>, start: Instant, limit: Duration) -> Self {
        Self {
            inner: Some(inner),
            timer: Timer::new(start.checked_add(limit)),
            watch,
            start,
            limit,
            waits: false,
        }
    }
}

impl<F, T, E, C> Future for ResponseFuture<F, C>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
    C: Classify<T>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };

        if let Poll::Ready(result) = inner.poll(cx) {
            this.inner.set(None);
            match &result {
                Ok(response) => this.watch.answered(*this.start, *this.waits, response),
                Err(_) => this.watch.failed(*this.start, *this.waits),
            }
            return Poll::Ready(result.map_err(Into::into));
        }

        if !*this.waits {
            *this.waits = true;
            this.watch.waits(*this.start);
        }

        std::task::ready!(this.timer.poll(cx));
        this.inner.set(None);
        let elapsed = Elapsed::new(*this.limit, since(*this.start));
        tracing::trace!(limit = ?elapsed.limit(), elapsed = ?elapsed.elapsed(), "timed out");
        this.watch.timed_out(*this.start, *this.limit);
        Poll::Ready(Err(elapsed.into()))
    }
}

impl<F, C> fmt::Debug for ResponseFuture<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("start", &self.start)
            .field("limit", &self.limit)
            .field("ended", &self.inner.is_none())
            .finish_non_exhaustive()
    }
}

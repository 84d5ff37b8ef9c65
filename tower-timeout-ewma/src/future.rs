//! The response futures.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

pub use crate::deadline::future::DeadlineFuture;
use crate::{
    BoxError,
    error::Elapsed,
    estimator::{Estimator, Transition},
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
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        #[pin]
        timer: Timer,
        estimator: Arc<Estimator>,
        start: Instant,
        limit: Duration,
        polled: bool,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            if this.polled && this.inner.is_some() {
                this.estimator.cancelled(since(this.start));
            }
        }
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) fn new(
        inner: F,
        estimator: Arc<Estimator>,
        start: Instant,
        limit: Duration,
    ) -> Self {
        Self {
            inner: Some(inner),
            timer: Timer::new(start.checked_add(limit)),
            estimator,
            start,
            limit,
            polled: false,
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
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        *this.polled = true;

        if let Poll::Ready(result) = inner.poll(cx) {
            this.inner.set(None);
            if result.is_ok() {
                log(this.estimator.answered(since(*this.start)), this.estimator);
            }
            return Poll::Ready(result.map_err(Into::into));
        }

        std::task::ready!(this.timer.poll(cx));
        this.inner.set(None);
        let elapsed = Elapsed::new(*this.limit, since(*this.start));
        tracing::trace!(limit = ?elapsed.limit(), elapsed = ?elapsed.elapsed(), "timed out");
        log(this.estimator.timed_out(*this.limit), this.estimator);
        Poll::Ready(Err(elapsed.into()))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("start", &self.start)
            .field("limit", &self.limit)
            .field("ended", &self.inner.is_none())
            .finish_non_exhaustive()
    }
}

fn since(start: Instant) -> Duration {
    Instant::now().saturating_duration_since(start)
}

fn log(transition: Option<Transition>, estimator: &Estimator) {
    let Some(transition) = transition else { return };
    let limit = estimator.limit();
    match transition {
        Transition::Relaxing => {
            tracing::debug!(?limit, "many requests time out: the limit grows");
        }
        Transition::Following => {
            tracing::debug!(
                ?limit,
                "timeouts are rare again: the limit follows the answers"
            );
        }
    }
}

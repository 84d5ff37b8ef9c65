//! The response futures.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

pub use crate::deadline::future::DeadlineFuture;
use crate::{
    BoxError, EveryAnswer,
    error::Elapsed,
    exchange::Exchange,
    scope::{Cover, ToResponse},
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
    pub struct ResponseFuture<F, C = EveryAnswer, U = ToResponse> {
        #[pin]
        inner: Option<F>,
        #[pin]
        timer: Timer,
        state: State<C>,
        scope: PhantomData<fn() -> U>,
    }

    impl<F, C, U> PinnedDrop for ResponseFuture<F, C, U> {
        fn drop(this: Pin<&mut Self>) {
            if let State::Running { exchange: Some(exchange), waits: true } = this.project().state {
                exchange.cancelled();
            }
        }
    }
}

enum State<C> {
    Running {
        /// Gone once it is for somebody else to learn from.
        exchange: Option<Exchange<C>>,
        /// Whether somebody has waited for what is limited.
        waits: bool,
    },
    /// The service was not ready in time.
    Overdue(Elapsed),
    Ended,
}

impl<F, C, U> ResponseFuture<F, C, U> {
    #[inline]
    pub(crate) fn new(inner: F, exchange: Exchange<C>) -> Self {
        Self {
            inner: Some(inner),
            timer: Timer::new(None),
            state: State::Running {
                exchange: Some(exchange),
                waits: false,
            },
            scope: PhantomData,
        }
    }

    pub(crate) fn overdue(elapsed: Elapsed) -> Self {
        Self {
            inner: None,
            timer: Timer::new(None),
            state: State::Overdue(elapsed),
            scope: PhantomData,
        }
    }
}

impl<F, T, E, C, U> Future for ResponseFuture<F, C, U>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
    U: Cover<T, C>,
{
    type Output = Result<U::Output, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return match mem::replace(this.state, State::Ended) {
                State::Overdue(elapsed) => Poll::Ready(Err(elapsed.into())),
                _ => Poll::Pending,
            };
        };
        let State::Running { exchange, waits } = this.state else {
            return Poll::Pending;
        };

        if let Poll::Ready(result) = inner.poll(cx) {
            this.inner.set(None);
            *waits = false;
            return Poll::Ready(match result {
                Ok(response) => Ok(U::responded(exchange, response)),
                Err(error) => {
                    *exchange = None;
                    Err(error.into())
                }
            });
        }

        let Some(running) = exchange else {
            return Poll::Pending;
        };
        if !U::LIMITS_RESPONSE {
            return Poll::Pending;
        }
        if !*waits {
            *waits = true;
            this.timer.as_mut().reset(running.first_due());
        }
        running.waits();
        ready!(running.poll_due(this.timer, cx));
        this.inner.set(None);
        let elapsed = running.timed_out(U::SCOPE);
        *this.state = State::Ended;
        Poll::Ready(Err(elapsed.into()))
    }
}

impl<F, C, U> fmt::Debug for ResponseFuture<F, C, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ResponseFuture");
        match &self.state {
            State::Running { exchange, .. } => debug.field("exchange", exchange),
            State::Overdue(elapsed) => debug.field("overdue", elapsed),
            State::Ended => debug.field("ended", &true),
        };
        debug.finish_non_exhaustive()
    }
}

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::{BoxError, deadline::Deadline, error::Expired, timer::Timer};

pin_project! {
    /// The response of [`Deadlines`](crate::deadline::Deadlines).
    ///
    /// The inner future is dropped as soon as it has ended or its deadline has passed. A future
    /// that is polled again after that stays pending.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the inner future.
    pub struct DeadlineFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Unlimited {
            #[pin]
            inner: F,
        },
        Limited {
            #[pin]
            inner: F,
            #[pin]
            timer: Timer,
            deadline: Deadline,
            limit: Duration,
        },
        Refused {
            error: Expired,
        },
        Ended,
    }
}

impl<F> DeadlineFuture<F> {
    pub(super) fn unlimited(inner: F) -> Self {
        Self {
            state: State::Unlimited { inner },
        }
    }

    pub(super) fn limited(inner: F, deadline: Deadline, limit: Duration) -> Self {
        Self {
            state: State::Limited {
                inner,
                timer: Timer::new(Some(deadline.instant())),
                deadline,
                limit,
            },
        }
    }

    pub(super) fn refused(error: Expired) -> Self {
        Self {
            state: State::Refused { error },
        }
    }
}

impl<F, T, E> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let result = match state.as_mut().project() {
            StateProjection::Unlimited { inner } => ready!(inner.poll(cx)).map_err(Into::into),
            StateProjection::Limited {
                inner,
                timer,
                deadline,
                limit,
            } => match inner.poll(cx) {
                Poll::Ready(result) => result.map_err(Into::into),
                Poll::Pending => {
                    ready!(timer.poll(cx));
                    let overdue = Instant::now().saturating_duration_since(deadline.instant());
                    tracing::trace!(?limit, ?overdue, "ended: the deadline has passed");
                    Err(Expired::ended(*limit, overdue).into())
                }
            },
            StateProjection::Refused { error } => Err((*error).into()),
            StateProjection::Ended => return Poll::Pending,
        };
        state.set(State::Ended);
        Poll::Ready(result)
    }
}

impl<F> fmt::Debug for DeadlineFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Unlimited { .. } => "unlimited",
            State::Limited { .. } => "limited",
            State::Refused { .. } => "refused",
            State::Ended => "ended",
        };
        f.debug_tuple("DeadlineFuture").field(&state).finish()
    }
}

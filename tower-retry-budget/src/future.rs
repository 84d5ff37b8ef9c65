//! The future of a request and its retries.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use crate::{
    attempt::{Reservation, Retries, prepare},
    policy::{Policy, Verdict},
    replay::Replay,
    service::Shared,
    stats::Refusal,
};

pin_project! {
    /// The outcome of a request to a [`Retry`](crate::Retry), after as many attempts as it took.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the attempt in flight, the kept clone of the service with whatever that
    /// had reserved, the spare, and the outcome that is kept while a retry waits. The token of a retry that was not yet sent is refunded.
    /// Nothing is paid into the budget.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, P, R, Req>
    where
        R: Replay<Req>,
        S: Service<R::Request>,
    {
        #[pin]
        state: State<S::Future, R::Request, Result<S::Response, S::Error>>,
        kept: Retries<S, R::Spare>,
        attempt: u32,
        retried: bool,
        shared: Arc<Shared<P, R>>,
    }
}

impl<S, P, R, Req> ResponseFuture<S, P, R, Req>
where
    R: Replay<Req>,
    S: Service<R::Request>,
{
    pub(crate) fn new(
        future: S::Future,
        kept: Retries<S, R::Spare>,
        shared: Arc<Shared<P, R>>,
    ) -> Self {
        Self {
            state: State::Calling { future },
            kept,
            attempt: 1,
            retried: false,
            shared,
        }
    }

    /// Judges the outcome of an attempt: gives it back if it is final, else prepares the next.
    fn judge(
        self: Pin<&mut Self>,
        outcome: Result<S::Response, S::Error>,
    ) -> Option<Result<S::Response, S::Error>>
    where
        P: Policy<Req, S::Response, S::Error>,
    {
        let mut this = self.project();
        let after = match Policy::<Req, _, _>::classify(&this.shared.policy, outcome.as_ref()) {
            Verdict::Success => {
                this.shared.budget.deposit();
                if *this.retried {
                    this.shared.counters.recovered();
                }
                return Some(outcome);
            }
            Verdict::Failure => return Some(outcome),
            Verdict::Retry { after } => after.unwrap_or_default(),
        };
        let (request, reservation) = match prepare(this.shared, this.kept, *this.attempt) {
            Ok(prepared) => prepared,
            Err(refusal) => {
                refuse(this.shared, *this.attempt, refusal);
                return Some(outcome);
            }
        };
        let retry = Some(Prepared {
            request,
            reservation,
            outcome,
        });
        let backoff = this.shared.backoff.delay(*this.attempt - 1, rand::random());
        let wait = backoff.max(after);
        *this.attempt += 1;
        tracing::trace!(attempt = *this.attempt, ?wait, "retrying");
        this.state.set(if wait > Duration::ZERO {
            let sleep = sleep(wait);
            State::BackingOff { sleep, retry }
        } else {
            State::unready(retry)
        });
        None
    }
}

impl<S, P, R, Req> Future for ResponseFuture<S, P, R, Req>
where
    R: Replay<Req>,
    S: Service<R::Request>,
    P: Policy<Req, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut this = self.as_mut().project();
            let outcome = match this.state.as_mut().project() {
                StateProj::Calling { future } => ready!(future.poll(cx)),
                StateProj::BackingOff { sleep, retry } => {
                    ready!(sleep.poll(cx));
                    let retry = retry.take();
                    this.state.set(State::unready(retry));
                    continue;
                }
                StateProj::Unready { timeout, retry } => {
                    let (Ok(kept), Some(_)) = (&mut *this.kept, &retry) else {
                        // Polled again after the end.
                        return Poll::Pending;
                    };
                    let readiness = kept.service.poll_ready(cx);
                    if readiness.is_pending() {
                        ready!(poll_timeout(timeout, this.shared.ready_timeout, cx));
                    }
                    match (readiness, retry.take()) {
                        (Poll::Ready(Ok(())), Some(retry)) => {
                            *this.retried = true;
                            this.shared.counters.retry();
                            let future = retry.send(&mut kept.service);
                            if kept.spare.is_none() {
                                *this.kept = Err(Refusal::OutOfAttempts);
                            }
                            this.state.set(State::Calling { future });
                            continue;
                        }
                        (Poll::Ready(Err(error)), _) => Err(error),
                        (Poll::Pending, Some(retry)) => {
                            refuse(this.shared, *this.attempt - 1, Refusal::NotReady);
                            return Poll::Ready(retry.outcome);
                        }
                        (_, None) => return Poll::Pending,
                    }
                }
            };
            if let Some(outcome) = self.as_mut().judge(outcome) {
                return Poll::Ready(outcome);
            }
        }
    }
}

impl<S, P, R, Req> fmt::Debug for ResponseFuture<S, P, R, Req>
where
    R: Replay<Req>,
    S: Service<R::Request>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, Request, Outcome> {
        Calling {
            #[pin]
            future: F,
        },
        BackingOff {
            #[pin]
            sleep: Sleep,
            retry: Option<Prepared<Request, Outcome>>,
        },
        // Until the service is ready for the retry.
        Unready {
            // Runs from when the service was first found not to be ready.
            #[pin]
            timeout: Option<Sleep>,
            retry: Option<Prepared<Request, Outcome>>,
        },
    }
}

impl<F, Request, Outcome> State<F, Request, Outcome> {
    fn unready(retry: Option<Prepared<Request, Outcome>>) -> Self {
        Self::Unready {
            timeout: None,
            retry,
        }
    }
}

/// A retry that is paid for and not yet sent.
struct Prepared<Request, Outcome> {
    request: Request,
    reservation: Reservation,
    /// Of the attempt before, for the case that this one cannot be sent.
    outcome: Outcome,
}

impl<Request, Outcome> Prepared<Request, Outcome> {
    fn send<S: Service<Request>>(self, service: &mut S) -> S::Future {
        self.reservation.spend();
        service.call(self.request)
    }
}

/// Notes why the attempt after `attempt` is not made.
fn refuse<P, R>(shared: &Shared<P, R>, attempt: u32, refusal: Refusal) {
    shared.counters.refused(refusal);
    tracing::trace!(attempt, reason = ?refusal, "not retried");
}

/// Whether the time is over that began with the first poll.
fn poll_timeout(
    mut timeout: Pin<&mut Option<Sleep>>,
    after: Duration,
    cx: &mut Context<'_>,
) -> Poll<()> {
    // A timer would round zero up to its next tick.
    if after.is_zero() {
        return Poll::Ready(());
    }
    if timeout.is_none() {
        timeout.set(Some(sleep(after)));
    }
    match timeout.as_pin_mut() {
        Some(timer) => timer.poll(cx),
        None => Poll::Pending,
    }
}

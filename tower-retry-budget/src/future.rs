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
    attempt::{Cause, Made, Payment, Retries, prepare},
    kind::Kind,
    policy::{Policy, Refusal, Verdict},
    replay::Replay,
    service::Shared,
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
        made: Made,
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
            made: Made::first(),
            retried: false,
            shared,
        }
    }

    /// Judges the outcome of an attempt: gives it back if it is final, else prepares the next.
    fn judge(
        self: Pin<&mut Self>,
        mut outcome: Result<S::Response, S::Error>,
    ) -> Option<Result<S::Response, S::Error>>
    where
        P: Policy<Req, S::Response, S::Error>,
    {
        let mut this = self.project();
        let (after, cause) =
            match Policy::<Req, _, _>::classify(&this.shared.policy, outcome.as_ref()) {
                Verdict::Success => {
                    this.shared.budget.deposit();
                    if *this.retried {
                        this.shared.counters.recovered();
                    }
                    return Some(outcome);
                }
                Verdict::Failure => {
                    this.shared.budget.failed(Kind::Transient);
                    return Some(outcome);
                }
                Verdict::Neutral => return Some(outcome),
                Verdict::Retry(again) => {
                    this.shared.budget.failed(again.kind);
                    let cause = if again.unwanted {
                        Cause::Unwanted
                    } else {
                        Cause::Failed(again.kind)
                    };
                    (again.after.unwrap_or_default(), cause)
                }
                Verdict::Unprocessed => (Duration::ZERO, Cause::Unprocessed),
            };
        let prepared = prepare(this.shared, this.kept, this.made, cause);
        let (request, payment) = match prepared {
            Ok(prepared) => prepared,
            Err(refusal) => {
                refuse::<_, _, Req, _, _>(this.shared, *this.made, refusal, &mut outcome);
                return Some(outcome);
            }
        };
        let backoff = match payment {
            Payment::Token(_) => Some(this.made.attempts - 2),
            // A server that gives everything back is not to be hammered.
            Payment::Nothing => this.made.resends.checked_sub(2),
        };
        let backoff = backoff.map(|number| this.shared.backoff.delay(number, rand::random()));
        let wait = after.max(backoff.unwrap_or_default());
        tracing::trace!(made = ?*this.made, ?wait, "sending again");
        let next = Some(Prepared {
            request,
            payment,
            outcome,
        });
        this.state.set(if wait > Duration::ZERO {
            let sleep = sleep(wait);
            State::BackingOff { sleep, next }
        } else {
            State::unready(next)
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
                StateProj::BackingOff { sleep, next } => {
                    ready!(sleep.poll(cx));
                    let next = next.take();
                    this.state.set(State::unready(next));
                    continue;
                }
                StateProj::Unready { timeout, next } => {
                    let (Ok(kept), Some(_)) = (&mut *this.kept, &next) else {
                        // Polled again after the end.
                        return Poll::Pending;
                    };
                    let readiness = kept.service.poll_ready(cx);
                    if readiness.is_pending() {
                        ready!(poll_timeout(timeout, this.shared.ready_timeout, cx));
                    }
                    match (readiness, next.take()) {
                        (Poll::Ready(Ok(())), Some(next)) => {
                            match next.payment {
                                Payment::Token(_) => {
                                    *this.retried = true;
                                    this.shared.counters.retry();
                                }
                                Payment::Nothing => this.shared.counters.resent(),
                            }
                            let future = next.send(&mut kept.service);
                            if let Some(refusal) = kept.used_up() {
                                *this.kept = Err(refusal);
                            }
                            this.state.set(State::Calling { future });
                            continue;
                        }
                        (Poll::Ready(Err(error)), _) => Err(error),
                        (Poll::Pending, Some(Prepared { mut outcome, .. })) => {
                            let refusal = Refusal::NotReady;
                            refuse::<_, _, Req, _, _>(
                                this.shared,
                                *this.made,
                                refusal,
                                &mut outcome,
                            );
                            return Poll::Ready(outcome);
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
            .field("made", &self.made)
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
            next: Option<Prepared<Request, Outcome>>,
        },
        // Until the service is ready for the next attempt.
        Unready {
            // Runs from when the service was first found not to be ready.
            #[pin]
            timeout: Option<Sleep>,
            next: Option<Prepared<Request, Outcome>>,
        },
    }
}

impl<F, Request, Outcome> State<F, Request, Outcome> {
    fn unready(next: Option<Prepared<Request, Outcome>>) -> Self {
        Self::Unready {
            timeout: None,
            next,
        }
    }
}

/// An attempt that is paid for and not yet sent.
struct Prepared<Request, Outcome> {
    request: Request,
    payment: Payment,
    /// Of the attempt before, for the case that this one cannot be sent.
    outcome: Outcome,
}

impl<Request, Outcome> Prepared<Request, Outcome> {
    fn send<S: Service<Request>>(self, service: &mut S) -> S::Future {
        self.payment.spend();
        service.call(self.request)
    }
}

/// Notes why no attempt follows those that were made or prepared, and marks the outcome.
fn refuse<P, R, Req, Res, Err>(
    shared: &Shared<P, R>,
    made: Made,
    refusal: Refusal,
    outcome: &mut Result<Res, Err>,
) where
    P: Policy<Req, Res, Err>,
{
    shared.counters.refused(refusal);
    tracing::trace!(?made, reason = ?refusal, "not sent again");
    if refusal != Refusal::NotRetryable {
        shared.policy.gave_up(outcome, refusal);
    }
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

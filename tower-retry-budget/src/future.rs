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
    budget::Withdrawal,
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
    /// had reserved, and the spare. The token of a retry that was not yet sent is refunded.
    /// Nothing is paid into the budget.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, P, R, Req>
    where
        R: Replay<Req>,
        S: Service<R::Request>,
    {
        #[pin]
        state: State<S::Future, R::Request>,
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
        let retry = match prepare(this.shared, this.kept, *this.attempt) {
            Ok(retry) => retry,
            Err(refusal) => {
                this.shared.counters.refused(refusal);
                tracing::trace!(attempt = *this.attempt, reason = ?refusal, "not retried");
                return Some(outcome);
            }
        };
        let backoff = this.shared.backoff.delay(*this.attempt - 1, rand::random());
        let wait = backoff.max(after);
        *this.attempt += 1;
        tracing::trace!(attempt = *this.attempt, ?wait, "retrying");
        this.state.set(State::Waiting {
            sleep: (wait > Duration::ZERO).then(|| sleep(wait)),
            retry: Some(retry),
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
                StateProj::Waiting { mut sleep, retry } => {
                    if let Some(timer) = sleep.as_mut().as_pin_mut() {
                        ready!(timer.poll(cx));
                        sleep.set(None);
                    }
                    let Ok(kept) = this.kept else {
                        return Poll::Pending;
                    };
                    match (ready!(kept.service.poll_ready(cx)), retry.take()) {
                        (Ok(()), Some(retry)) => {
                            *this.retried = true;
                            this.shared.counters.retry();
                            let future = retry.send(&mut kept.service);
                            if kept.spare.is_none() {
                                *this.kept = Err(Refusal::OutOfAttempts);
                            }
                            this.state.set(State::Calling { future });
                            continue;
                        }
                        (Err(error), _) => Err(error),
                        // Polled again after the end.
                        (Ok(()), None) => return Poll::Pending,
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

/// What later attempts are made from, or why there can be none.
pub(crate) type Retries<S, Spare> = Result<Kept<S, Spare>, Refusal>;

/// The service and the request, for later attempts.
pub(crate) struct Kept<S, Spare> {
    service: S,
    /// Gone once the last attempt has been made from it.
    spare: Option<Spare>,
}

impl<S, Spare> Kept<S, Spare> {
    pub(crate) fn new(service: S, spare: Spare) -> Self {
        Self {
            service,
            spare: Some(spare),
        }
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, Request> {
        Calling {
            #[pin]
            future: F,
        },
        // Until the backoff is over and the service ready.
        Waiting {
            #[pin]
            sleep: Option<Sleep>,
            retry: Option<Prepared<Request>>,
        },
    }
}

/// A retry that is paid for and not yet sent.
struct Prepared<Request> {
    request: Request,
    reservation: Reservation,
}

impl<Request> Prepared<Request> {
    fn send<S: Service<Request>>(self, service: &mut S) -> S::Future {
        self.reservation.spend();
        service.call(self.request)
    }
}

/// Gives its token back unless it is spent.
struct Reservation {
    withdrawal: Option<Withdrawal>,
}

impl Reservation {
    fn spend(mut self) {
        self.withdrawal = None;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(withdrawal) = self.withdrawal.take() {
            withdrawal.refund();
        }
    }
}

/// Pays for the attempt after `attempt` and makes its request.
fn prepare<S, P, R, Req>(
    shared: &Shared<P, R>,
    kept: &mut Retries<S, R::Spare>,
    attempt: u32,
) -> Result<Prepared<R::Request>, Refusal>
where
    R: Replay<Req>,
{
    let spare = &mut kept.as_mut().map_err(|refusal| *refusal)?.spare;
    let replayable = |spare| shared.replay.replayable(spare);
    if !spare
        .as_ref()
        .map(replayable)
        .ok_or(Refusal::OutOfAttempts)?
    {
        return Err(Refusal::NotReplayable);
    }
    let Ok(withdrawal) = shared.budget.withdraw() else {
        return Err(Refusal::Exhausted);
    };
    let reservation = Reservation {
        withdrawal: Some(withdrawal),
    };
    let request = if attempt + 1 < shared.attempts {
        spare.as_mut().and_then(|spare| shared.replay.again(spare))
    } else {
        spare.take().and_then(|spare| shared.replay.last(spare))
    };
    Ok(Prepared {
        request: request.ok_or(Refusal::NotReplayable)?,
        reservation,
    })
}

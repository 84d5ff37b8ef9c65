//! The future of a request and its second attempt.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tower_service::Service;

use super::{service::Common, stats::End, watch::Watch};
use crate::{
    budget::Withdrawal,
    kind::Kind,
    policy::{Policy, Refusal, Verdict},
    prepare::Next,
    replay::Replay,
    reservation::Reservation,
};

pin_project! {
    /// The outcome of a request to a [`Hedge`](super::Hedge): that of its first attempt, or of the
    /// second.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops both attempts, the spare, and the clone of the service that waits for
    /// readiness with whatever that had reserved. A second attempt that was sent stays paid for;
    /// for one that was not, nothing has been taken. Nothing is paid into the budget. If the first
    /// attempt was older than the delay, it is learnt from as one that takes longer than that.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, P, R, Req>
    where
        R: Replay<Req>,
        S: Service<R::Request>,
    {
        // Until it has ended.
        #[pin]
        first: Option<S::Future>,
        // The outcome of the first, which has failed, while the second is in flight.
        parked: Option<Result<S::Response, S::Error>>,
        #[pin]
        second: Second<S, S::Future>,
        // Until the second is sent.
        plan: Plan<R::Spare>,
        hedged: bool,
        watch: Watch<S, P, R>,
    }
}

/// What the second attempt is made from, or why there can be none, where it is known when to send
/// it.
pub(super) type Plan<Spare> = Option<Result<Spare, Refusal>>;

impl<S, P, R, Req> ResponseFuture<S, P, R, Req>
where
    R: Replay<Req>,
    S: Service<R::Request>,
{
    pub(super) fn new(first: S::Future, plan: Plan<R::Spare>, watch: Watch<S, P, R>) -> Self {
        Self {
            first: Some(first),
            parked: None,
            second: Second::Unset,
            plan,
            hedged: false,
            watch,
        }
    }

    /// The outcome of the first attempt. If it failed while the second is in flight, it is parked.
    fn poll_first(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome<S, R::Request>>
    where
        P: Policy<Req, S::Response, S::Error>,
    {
        let mut this = self.project();
        let Some(first) = this.first.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let outcome = ready!(first.poll(cx));
        this.first.set(None);
        let verdict = judge(this.watch, &outcome);
        if verdict == Verdict::Success {
            this.watch.succeeded();
        } else {
            this.watch.failed();
        }
        if !is_answer(verdict) && matches!(*this.second, Second::Calling { .. }) {
            *this.parked = Some(outcome);
            return Poll::Pending;
        }
        this.second.set(Second::Over);
        *this.plan = None;
        if *this.hedged {
            this.watch.counters.ended(if is_answer(verdict) {
                End::WonFirst
            } else {
                End::Failed
            });
        }
        Poll::Ready(outcome)
    }

    /// The outcome of the second attempt, or of the first if both failed.
    fn poll_second(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome<S, R::Request>>
    where
        S: Clone,
        P: Policy<Req, S::Response, S::Error>,
    {
        let mut this = self.project();
        loop {
            let next = match this.second.as_mut().project() {
                SecondProj::Over => return Poll::Pending,
                SecondProj::Unset => {
                    if let Some(then) = this.watch.begin()
                        && this.plan.is_some()
                    {
                        let delay = sleep_until(then);
                        this.second.as_mut().set(Second::Waiting { delay });
                        continue;
                    }
                    Ok(Second::Over)
                }
                SecondProj::Waiting { delay } => {
                    ready!(delay.poll(cx));
                    may_send(this.watch, this.plan).map(|()| Second::Unready {
                        service: this.watch.shared().service(),
                    })
                }
                SecondProj::Unready { service } => match ready!(service.poll_ready(cx)) {
                    Ok(()) => pay(this.watch, this.plan.take()).map(|(request, paid)| {
                        *this.hedged = true;
                        Second::Calling {
                            future: service.call(request),
                            paid,
                        }
                    }),
                    // The first attempt may still succeed.
                    Err(_) => Err(Refusal::NotReady),
                },
                SecondProj::Calling { future, paid } => {
                    let outcome = ready!(future.poll(cx));
                    let paid = paid.take();
                    this.second.set(Second::Over);
                    let verdict = judge(this.watch, &outcome);
                    if is_answer(verdict) {
                        if let (Verdict::Success, Some(paid)) = (verdict, paid) {
                            paid.succeeded();
                        }
                        this.first.set(None);
                        this.watch.superseded();
                        this.watch.counters.ended(End::WonSecond);
                        return Poll::Ready(outcome);
                    }
                    let Some(first) = this.parked.take() else {
                        return Poll::Pending;
                    };
                    this.watch.counters.ended(End::Failed);
                    return Poll::Ready(first);
                }
            };
            let next = next.unwrap_or_else(|refusal| {
                this.watch.counters.refused(refusal);
                Second::Over
            });
            if matches!(next, Second::Over) {
                // Nobody will need it, and it may hold memory of others.
                *this.plan = None;
            }
            this.second.set(next);
        }
    }
}

impl<S, P, R, Req> Future for ResponseFuture<S, P, R, Req>
where
    R: Replay<Req>,
    S: Service<R::Request> + Clone,
    P: Policy<Req, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.as_mut().poll_first(cx) {
            Poll::Ready(outcome) => Poll::Ready(outcome),
            Poll::Pending => self.poll_second(cx),
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
            .field("hedged", &self.hedged)
            .finish_non_exhaustive()
    }
}

type Outcome<S, Request> =
    Result<<S as Service<Request>>::Response, <S as Service<Request>>::Error>;

pin_project! {
    #[project = SecondProj]
    enum Second<S, F> {
        // Until the first has been polled and has not answered at once.
        Unset,
        Waiting {
            #[pin]
            delay: Sleep,
        },
        // Until the service is ready for it.
        Unready { service: S },
        Calling {
            #[pin]
            future: F,
            // Spent when it is dropped.
            paid: Option<Withdrawal>,
        },
        // There is none, or none any more.
        Over,
    }
}

/// Whether it is of no use to wait for the other attempt.
fn is_answer(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Success | Verdict::Neutral)
}

fn judge<P, R, Req, Res, Err>(common: &Common<P, R>, outcome: &Result<Res, Err>) -> Verdict
where
    P: Policy<Req, Res, Err>,
{
    let verdict = common.policy.classify(outcome.as_ref());
    if common.funds {
        match verdict {
            Verdict::Success => common.budget.deposit(),
            Verdict::Failure => common.budget.failed(Kind::Transient),
            Verdict::Retry(again) => common.budget.failed(again.kind),
            Verdict::Neutral | Verdict::Unprocessed => {}
        }
    }
    verdict
}

/// Whether to get a service ready for the second attempt.
fn may_send<P, R: Replay<Req>, Req>(
    common: &Common<P, R>,
    plan: &Plan<R::Spare>,
) -> Result<(), Refusal> {
    let plan = plan.as_ref().ok_or(Refusal::NotReplayable)?;
    let spare = plan.as_ref().map_err(|why| *why)?;
    if !(common.replay.replayable(spare) && common.replay.complete(spare)) {
        return Err(Refusal::NotReplayable);
    }
    if !common.budget.looks_affordable() {
        return Err(Refusal::Exhausted);
    }
    Ok(())
}

/// Pays for the second attempt, which is sent now.
fn pay<P, R: Replay<Req>, Req>(
    common: &Common<P, R>,
    plan: Plan<R::Spare>,
) -> Result<(R::Request, Option<Withdrawal>), Refusal> {
    let spare = plan.ok_or(Refusal::NotReplayable)??;
    let mut request = common.replay.last(spare).ok_or(Refusal::NotReplayable)?;
    let paid = common.budget.try_withdraw(Kind::Hedge);
    let reservation = Reservation::from(paid.map_err(|_| Refusal::Exhausted)?);
    // Foreign code: if it panics, nothing was sent and nothing is spent.
    common.replay.prepare(&mut request, SECOND);
    common.counters.hedged();
    tracing::trace!("a second attempt is sent");
    Ok((request, reservation.spend()))
}

const SECOND: Next = Next {
    attempt: 2,
    kind: Kind::Hedge,
    resend: false,
};

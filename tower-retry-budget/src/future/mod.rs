//! The future of a request and its retries.

mod send;
mod state;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tower_service::Service;

use self::state::{Sending, State, StateProj};
use crate::{
    attempt::{Cause, Made, Prepared, Retries},
    budget::Withdrawal,
    deadline::Due,
    kind::Kind,
    lanes::Lane,
    policy::{Policy, Refusal, Verdict},
    replay::Replay,
    service::Core,
    waits::Waits,
};

pin_project! {
    /// The outcome of a request to a [`Retry`](crate::Retry), after as many attempts as it took.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the attempt in flight, the clone of the service that retries go through
    /// with whatever that had reserved, the spare, and the outcome that is kept while a retry waits.
    /// What was taken from the budget for a retry that was not yet sent is refunded. Nothing is paid
    /// into the budget.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, P, R, Req>
    where
        R: Replay<Req>,
        S: Service<R::Request>,
    {
        #[pin]
        state: State<S::Future, R::Request, Result<S::Response, S::Error>>,
        kept: Retries<R::Spare>,
        // For all retries of the request, from when the first one is wanted until readiness fails.
        service: Option<S>,
        made: Made,
        waits: Waits,
        due: Option<Due>,
        retried: bool,
        // What the retry in flight has cost.
        paid: Option<Withdrawal>,
        lane: Arc<Lane<Core<S, P, R>>>,
    }
}

impl<S, P, R, Req> ResponseFuture<S, P, R, Req>
where
    R: Replay<Req>,
    S: Service<R::Request>,
{
    pub(crate) fn new(
        future: S::Future,
        kept: Retries<R::Spare>,
        due: Option<Due>,
        lane: Arc<Lane<Core<S, P, R>>>,
    ) -> Self {
        Self {
            state: State::Calling { future },
            kept,
            service: None,
            made: Made::first(),
            waits: Waits::default(),
            due,
            retried: false,
            paid: None,
            lane,
        }
    }
}

impl<S, P, R, Req> ResponseFuture<S, P, R, Req>
where
    R: Replay<Req>,
    S: Service<R::Request> + Clone,
    P: Policy<Req, S::Response, S::Error>,
{
    fn poll_outcome(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Response, S::Error>> {
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
                StateProj::Unready { .. } => match ready!(self.as_mut().poll_send(cx)) {
                    Sending::Sent => continue,
                    Sending::Failed(error) => Err(error),
                    Sending::GivenUp(outcome) => return Poll::Ready(outcome),
                },
            };
            if let Some(outcome) = self.as_mut().judge(outcome) {
                return Poll::Ready(outcome);
            }
        }
    }

    /// Judges the outcome of an attempt: gives it back if it is final, else prepares the next.
    fn judge(
        mut self: Pin<&mut Self>,
        mut outcome: Result<S::Response, S::Error>,
    ) -> Option<Result<S::Response, S::Error>> {
        let this = self.as_mut().project();
        let shared = &this.lane.core.shared;
        let paid = this.paid.take();
        let (cause, after) = match shared.policy.classify(outcome.as_ref()) {
            Verdict::Success => {
                self.succeeded(paid);
                return Some(outcome);
            }
            Verdict::Failure => {
                shared.budget.failed(Kind::Transient);
                return Some(outcome);
            }
            Verdict::Neutral => return Some(outcome),
            Verdict::Retry(again) => {
                shared.budget.failed(again.kind);
                let cause = if again.unwanted {
                    Cause::Unwanted
                } else {
                    Cause::Failed(again.kind)
                };
                (cause, again.after)
            }
            Verdict::Unprocessed => (Cause::Unprocessed, None),
        };
        // What is sent again for nothing has not failed, unless that turns out not to be possible.
        let is_unprocessed = matches!(cause, Cause::Unprocessed);
        let is_pardoned = is_unprocessed && this.kept.is_ok() && this.made.resends < shared.resends;
        if is_unprocessed && !is_pardoned {
            shared.budget.failed(Kind::Transient);
        }
        match self.as_mut().prepare(cause, after) {
            Ok((prepared, wait)) => {
                let next = Some((prepared, outcome));
                self.project().state.set(State::waiting(wait, next));
                None
            }
            Err(refusal) => {
                self.refuse(refusal, is_pardoned, &mut outcome);
                Some(outcome)
            }
        }
    }

    fn succeeded(self: Pin<&mut Self>, paid: Option<Withdrawal>) {
        let this = self.project();
        let shared = &this.lane.core.shared;
        shared.budget.deposit();
        if let Some(due) = this.due {
            due.succeeded(&shared.latencies);
        }
        if *this.retried {
            shared.counters.recovered();
        }
        if let Some(withdrawal) = paid {
            withdrawal.succeeded();
        }
    }

    /// The next attempt, and the wait before it. Nothing is paid for one that could not end in time.
    fn prepare(
        self: Pin<&mut Self>,
        cause: Cause,
        after: Option<Duration>,
    ) -> Result<(Prepared<R::Request>, Duration), Refusal> {
        let this = self.project();
        let shared = &this.lane.core.shared;
        let kept = this.kept.as_mut().map_err(|refusal| *refusal)?;
        let step = kept.step(shared, *this.made, cause)?;
        let wait = (this.waits).before(step, *this.made, after, &shared.backoff, &shared.seeds);
        if let Some(due) = this.due
            && due
                .spare(&shared.latencies)
                .is_none_or(|spare| wait > spare)
        {
            return Err(Refusal::PastDeadline);
        }
        let prepared = kept.prepare(shared, this.made, step)?;
        if this.service.is_none() {
            *this.service = Some(this.lane.core.service());
        }
        tracing::trace!(made = ?*this.made, ?wait, "sending again");
        Ok((prepared, wait))
    }

    /// Notes why no attempt follows those that were made or prepared, and marks the outcome. It is a
    /// failure now, if it was pardoned because it was to be resent.
    fn refuse(
        self: Pin<&mut Self>,
        refusal: Refusal,
        was_pardoned: bool,
        outcome: &mut Result<S::Response, S::Error>,
    ) {
        let this = self.project();
        let shared = &this.lane.core.shared;
        if was_pardoned {
            shared.budget.failed(Kind::Transient);
        }
        shared.counters.refused(refusal);
        tracing::trace!(made = ?*this.made, reason = ?refusal, "not sent again");
        if refusal != Refusal::NotRetryable {
            shared.policy.gave_up(outcome, refusal);
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
        let outcome = ready!(self.as_mut().poll_outcome(cx));
        // Not to be held for as long as this is.
        let this = self.project();
        *this.kept = Err(Refusal::OutOfAttempts);
        *this.service = None;
        Poll::Ready(outcome)
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

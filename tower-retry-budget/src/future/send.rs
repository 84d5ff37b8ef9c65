//! Sending the next attempt.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tower_service::Service;

use super::{
    ResponseFuture,
    state::{Sending, State, StateProj, poll_timeout},
};
use crate::{
    attempt::{Kept, Prepared},
    policy::{Policy, Refusal},
    replay::Replay,
};

impl<S, P, R, Req> ResponseFuture<S, P, R, Req>
where
    R: Replay<Req>,
    S: Service<R::Request> + Clone,
    P: Policy<Req, S::Response, S::Error>,
{
    /// Sends the next attempt when the service is ready for it, unless that takes too long.
    pub(super) fn poll_send(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Sending<S, R::Request>> {
        let mut this = self.as_mut().project();
        let (Some(service), StateProj::Unready { timeout, next }) =
            (this.service.as_mut(), this.state.as_mut().project())
        else {
            // Polled again after the end.
            return Poll::Pending;
        };
        let shared = &this.lane.core.shared;
        let spare = match this.due {
            Some(due) => due.spare(&shared.latencies),
            None => Some(Duration::MAX),
        };
        let looks_vain = next
            .as_ref()
            .is_some_and(|(next, _)| next.reservation.looks_vain());
        let refusal = match spare {
            None => Some(Refusal::PastDeadline),
            Some(_) if looks_vain => Some(Refusal::Exhausted),
            Some(spare) => match service.poll_ready(cx) {
                Poll::Pending => {
                    ready!(poll_timeout(timeout, shared.ready_timeout.min(spare), cx));
                    Some(Refusal::NotReady)
                }
                Poll::Ready(Ok(())) => None,
                Poll::Ready(Err(error)) => {
                    // By tower's contract an instance that failed is not to be used again.
                    *this.service = None;
                    *next = None;
                    return Poll::Ready(Sending::Failed(error));
                }
            },
        };
        let Some((prepared, mut outcome)) = next.take() else {
            return Poll::Pending;
        };
        if let Some(refusal) = refusal {
            let was_pardoned = prepared.next.resend;
            prepared.reservation.give_up(refusal);
            self.refuse(refusal, was_pardoned, &mut outcome);
            return Poll::Ready(Sending::GivenUp(outcome));
        }
        drop(outcome);
        self.send(prepared);
        Poll::Ready(Sending::Sent)
    }

    fn send(self: Pin<&mut Self>, prepared: Prepared<R::Request>) {
        let mut this = self.project();
        let Some(service) = this.service else {
            return;
        };
        let shared = &this.lane.core.shared;
        let Prepared {
            mut request,
            reservation,
            next,
        } = prepared;
        // Foreign code: if it panics, nothing was sent and nothing is spent.
        shared.replay.prepare(&mut request, next);
        *this.paid = reservation.spend();
        if next.resend {
            shared.counters.resent();
        } else {
            *this.retried = true;
            shared.counters.retry();
        }
        if let Some(due) = this.due {
            due.sent();
        }
        let future = service.call(request);
        if let Some(refusal) = this.kept.as_ref().ok().and_then(Kept::used_up) {
            *this.kept = Err(refusal);
        }
        this.state.set(State::Calling { future });
    }
}

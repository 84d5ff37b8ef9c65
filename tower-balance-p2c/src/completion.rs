use std::{fmt, sync::Arc};

use crate::{Outcome, common::Name, health::Ticket, load::Load};

/// Tells how long an answered request counts as in flight.
///
/// Implementations drop the [`InFlight`] or put it where it is dropped when the work is done, such
/// as into the response's body, and call [`failed`](InFlight::failed) if it turns out that the
/// endpoint has not done its work.
pub trait Completion<T> {
    /// The response that the caller gets.
    type Output;

    /// Whether [`complete`](Self::complete) does nothing but drop the [`InFlight`], so that it need
    /// not be made.
    const IS_IMMEDIATE: bool = false;

    /// Takes over a request that was answered with `response`.
    fn complete(&self, in_flight: InFlight, response: T) -> Self::Output;
}

/// A request is in flight until its endpoint has answered. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct AtResponse;

impl<T> Completion<T> for AtResponse {
    type Output = T;

    const IS_IMMEDIATE: bool = true;

    fn complete(&self, in_flight: InFlight, response: T) -> T {
        drop(in_flight);
        response
    }
}

/// Counts one request as in flight at its endpoint until it is dropped.
///
/// Only then a request that was [classified](crate::Classify) as a success is one for the
/// endpoint's success; its latency was taken when it was answered.
#[must_use = "a request is in flight until this is dropped"]
pub struct InFlight {
    load: Arc<Load<dyn Name>>,
    /// When it was sent, or, once it was answered, when that was.
    since: u64,
    ticket: Ticket,
    /// How many were in flight at the endpoint when this one was sent.
    ahead: u32,
    state: State,
    /// The endpoint's own code is running: if this is dropped now, it has panicked.
    is_running: bool,
}

#[derive(Clone, Copy)]
enum State {
    Unanswered,
    /// A success so far.
    Answered,
    /// Neutral so far.
    Neutral,
    /// A failure: there is nothing more to be said.
    Failed,
    Released,
}

impl InFlight {
    #[inline]
    pub(crate) fn start(load: Arc<Load<dyn Name>>, ticket: Ticket, now: u64) -> Self {
        Self {
            ahead: load.started(now),
            load,
            since: now,
            ticket,
            state: State::Unanswered,
            is_running: false,
        }
    }

    /// Does what the endpoint does for the request. A panic of it is a failure.
    #[inline]
    pub(crate) fn while_running<R>(&mut self, run: impl FnOnce() -> R) -> R {
        self.is_running = true;
        let result = run();
        self.is_running = false;
        result
    }

    /// The response is here, or an error. With `is_over` the request is in flight no more.
    pub(crate) fn answered(&mut self, outcome: Outcome, is_over: bool) {
        if !matches!(self.state, State::Unanswered) {
            return;
        }
        let (now, before) = (self.load.common.clock.now(), self.load.state());
        let is_success = outcome == Outcome::Success;
        let outcomes = self.load.outcomes();
        if is_over {
            outcomes.answered_and_released(is_success, now);
        } else {
            outcomes.flights().answered();
        }
        if is_success {
            let latency = now.saturating_sub(self.since);
            self.load.answered_well(latency, self.ahead, now);
            (self.state, self.since) = (State::Answered, now);
            // A stream may go on for hours: its beginning is proof enough, until it fails.
            if !self.load.is_admitted() {
                self.load.proved_well(self.ticket, now);
            }
        } else {
            self.judge(outcome, now);
        }
        if is_over {
            self.state = State::Released;
        }
        self.load.made_room(before);
    }

    /// The endpoint has not done its work, although its answer had begun: the request is a failure
    /// of the endpoint, once, whatever it was before, and is no longer in flight.
    ///
    /// The latency to its answer stands; where there was no answer, the request says nothing about
    /// latency.
    pub fn failed(self) {
        self.ended(Outcome::Failure);
    }

    /// The request is no longer in flight, and was what `outcome` says unless its beginning was
    /// a failure already. A success is one only where the answer was.
    pub fn ended(mut self, outcome: Outcome) {
        if matches!(self.state, State::Failed) || outcome == Outcome::Success {
            return;
        }
        let (now, before) = (self.load.common.clock.now(), self.load.state());
        self.judge(outcome, now);
        self.load.made_room(before);
    }

    /// Whatever it is, it is no success.
    fn judge(&mut self, outcome: Outcome, now: u64) {
        self.state = State::Failed;
        match outcome {
            Outcome::Pushback(pause) => self.load.pushed_back(self.ticket, pause, now),
            Outcome::Throttled(pause) if self.load.fails_often(now) => {
                self.load.pushed_back(self.ticket, pause, now);
            }
            Outcome::Failure | Outcome::Throttled(_) => self.load.failed(self.ticket, now),
            Outcome::Success | Outcome::Neutral => {
                self.state = State::Neutral;
                self.load.unproven(self.ticket, false, now);
            }
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        match self.state {
            State::Released => {}
            State::Unanswered if self.is_running => {
                self.answered(Outcome::Failure, true);
            }
            State::Unanswered => {
                let (now, before) = (self.load.common.clock.now(), self.load.state());
                self.load.flights().cancelled(self.since);
                let age = now.saturating_sub(self.since);
                let hung = self.load.cancelled(age, self.ahead, now);
                self.load.unproven(self.ticket, hung, now);
                self.load.made_room(before);
            }
            State::Answered => self.load.outcomes().ended_well(self.since),
            State::Neutral | State::Failed => self.load.flights().released(),
        }
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight")
            .field("answered", &!matches!(self.state, State::Unanswered))
            .finish_non_exhaustive()
    }
}

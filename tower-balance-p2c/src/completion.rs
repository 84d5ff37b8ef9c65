use std::{fmt, sync::Arc};

use crate::{Outcome, clock::Clock, load::Load};

/// Tells how long an answered request counts as in flight.
///
/// Implementations drop the [`InFlight`] or put it where it is dropped when the work is done, such
/// as into the response's body, and call [`failed`](InFlight::failed) if it turns out that the
/// endpoint has not done its work.
pub trait Completion<T> {
    /// The response that the caller gets.
    type Output;

    /// Takes over a request that was answered with `response`.
    fn complete(&self, in_flight: InFlight, response: T) -> Self::Output;
}

/// A request is in flight until its endpoint has answered. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct AtResponse;

impl<T> Completion<T> for AtResponse {
    type Output = T;

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
    load: Arc<Load>,
    clock: Clock,
    state: State,
}

enum State {
    Unanswered { since: u64 },
    Answered(Outcome),
}

impl InFlight {
    pub(crate) fn start(load: Arc<Load>, clock: Clock, now: u64) -> Self {
        load.started();
        Self {
            load,
            clock,
            state: State::Unanswered { since: now },
        }
    }

    pub(crate) fn answered(&mut self, outcome: Outcome) {
        let State::Unanswered { since } = self.state else {
            return;
        };
        self.state = State::Answered(outcome);
        let now = self.clock.now();
        match outcome {
            Outcome::Success => self.load.answered(now.saturating_sub(since), now),
            Outcome::Failure => self.load.failed(now),
            Outcome::Neutral => {}
        }
    }

    /// The endpoint has not done its work, although its answer had begun: the request is a failure
    /// of the endpoint, once, whatever it was before, and is no longer in flight.
    ///
    /// It stays one request of [`requests`](crate::EndpointStats::requests); one that had been
    /// neutral is counted now. The latency to its answer stands; where there was no answer, the
    /// request says nothing about latency.
    pub fn failed(mut self) {
        match self.state {
            State::Answered(Outcome::Success) => self.load.broke_off(self.clock.now()),
            State::Answered(Outcome::Failure) => {}
            State::Answered(Outcome::Neutral) | State::Unanswered { .. } => {
                self.load.failed(self.clock.now());
            }
        }
        self.state = State::Answered(Outcome::Failure);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        match self.state {
            State::Unanswered { since } => {
                let now = self.clock.now();
                self.load.cancelled(now.saturating_sub(since), now);
            }
            // The clock is read only where it matters.
            State::Answered(Outcome::Success) if self.load.is_penalised() => {
                self.load.completed(self.clock.now());
            }
            State::Answered(_) => {}
        }
        self.load.released();
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight")
            .field("answered", &!matches!(self.state, State::Unanswered { .. }))
            .finish_non_exhaustive()
    }
}

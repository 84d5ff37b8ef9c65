use std::{fmt, sync::Arc};

use crate::{Outcome, clock::Clock, load::Load};

/// Tells how long an answered request counts as in flight.
///
/// Implementations drop the [`InFlight`] or put it where it is dropped when the work is done, such
/// as into the response's body.
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
#[must_use = "a request is in flight until this is dropped"]
pub struct InFlight {
    load: Arc<Load>,
    clock: Clock,
    /// When the request was sent, while there is no answer.
    unanswered_since: Option<u64>,
}

impl InFlight {
    pub(crate) fn start(load: Arc<Load>, clock: Clock, now: u64) -> Self {
        load.started();
        Self {
            load,
            clock,
            unanswered_since: Some(now),
        }
    }

    pub(crate) fn answered(&mut self, outcome: Outcome) {
        let Some(since) = self.unanswered_since.take() else {
            return;
        };
        let now = self.clock.now();
        match outcome {
            Outcome::Success => self.load.succeeded(now.saturating_sub(since), now),
            Outcome::Failure => self.load.failed(now),
            Outcome::Neutral => {}
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(since) = self.unanswered_since {
            let now = self.clock.now();
            self.load.cancelled(now.saturating_sub(since), now);
        }
        self.load.released();
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight")
            .field("answered", &self.unanswered_since.is_none())
            .finish_non_exhaustive()
    }
}

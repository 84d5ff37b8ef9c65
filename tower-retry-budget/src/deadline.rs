//! No attempt that cannot end in time: [`Builder::deadline`](crate::Builder::deadline).

use std::{fmt, time::Duration};

use tokio::time::Instant;

use crate::{
    policy::{Policy, Refusal, Verdict},
    shortest::Shortest,
};

/// A policy that also knows until when a request is of use.
#[derive(Clone, Copy)]
pub struct WithDeadline<P, F> {
    policy: P,
    deadline: F,
}

impl<P, F> WithDeadline<P, F> {
    pub(crate) fn new(policy: P, deadline: F) -> Self {
        Self { policy, deadline }
    }
}

impl<P, F, Req, Res, Err> Policy<Req, Res, Err> for WithDeadline<P, F>
where
    P: Policy<Req, Res, Err>,
    F: Fn(&Req) -> Option<Instant>,
{
    fn retryable(&self, request: &Req) -> bool {
        self.policy.retryable(request)
    }

    fn resendable(&self, request: &Req) -> bool {
        self.policy.resendable(request)
    }

    /// The earlier one, if the inner policy knows of one too.
    fn deadline(&self, request: &Req) -> Option<Instant> {
        let deadlines = [(self.deadline)(request), self.policy.deadline(request)];
        deadlines.into_iter().flatten().min()
    }

    fn classify(&self, result: Result<&Res, &Err>) -> Verdict {
        self.policy.classify(result)
    }

    fn gave_up(&self, outcome: &mut Result<Res, Err>, why: Refusal) {
        self.policy.gave_up(outcome, why);
    }
}

impl<P: fmt::Debug, F> fmt::Debug for WithDeadline<P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithDeadline")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// Until when a request is of use, and when its attempt in flight was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    deadline: Instant,
    sent: Instant,
}

impl Due {
    pub(crate) fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            sent: Instant::now(),
        }
    }

    /// For how long an attempt can still be put off if it is to end in time, as attempts go.
    pub(crate) fn spare(&self, latencies: &Latencies) -> Option<Duration> {
        let now = Instant::now();
        let least = latencies.least(now).max(TICK);
        self.deadline
            .checked_duration_since(now)?
            .checked_sub(least)
            .filter(|spare| !spare.is_zero())
    }

    /// An attempt is sent.
    pub(crate) fn sent(&mut self) {
        self.sent = Instant::now();
    }

    /// The attempt that was sent has succeeded.
    pub(crate) fn succeeded(&self, latencies: &Latencies) {
        let now = Instant::now();
        latencies.note(now.saturating_duration_since(self.sent), now);
    }
}

/// How long attempts take that succeed, at the least, of requests that have a deadline.
#[derive(Debug)]
pub(crate) struct Latencies {
    shortest: Shortest,
    epoch: Instant,
}

impl Latencies {
    pub(crate) fn new() -> Self {
        Self {
            shortest: Shortest::default(),
            epoch: Instant::now(),
        }
    }

    fn note(&self, latency: Duration, now: Instant) {
        self.shortest.note(latency, self.age(now));
    }

    fn least(&self, now: Instant) -> Duration {
        self.shortest.get(self.age(now))
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }
}

/// Of the timer. What is due within one tick may be overtaken by the caller's own deadline.
const TICK: Duration = Duration::from_millis(1);

//! Counters, one set for each layer.

use std::{ops::Add, time::Duration};

use crate::{
    lanes::Sum,
    policy::Refusal,
    sync::{AtomicU64, Ordering::Relaxed},
};

/// A snapshot of what a [`HedgeLayer`](super::HedgeLayer) has done, in all its services.
///
/// Of a request that was hedged, either attempt wins, or both fail, or the caller does not wait for
/// either. A request that took longer than the delay and was not hedged is counted under the one
/// reason why not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HedgeStats {
    /// Requests taken.
    pub requests: u64,
    /// Second attempts sent.
    pub hedged: u64,
    /// Hedged, and the first attempt was the one to answer.
    pub won_first: u64,
    /// Hedged, and the second attempt was the one to answer.
    pub won_second: u64,
    /// Hedged, and both attempts failed.
    pub failed: u64,
    /// Requests that the policy does not let be sent twice, whether or not they were slow.
    pub not_retryable: u64,
    /// Not hedged: the budget had too little, when the request came or when the delay was over.
    pub exhausted: u64,
    /// Not hedged: the request could not be made again, as while its body is still on its way.
    pub not_replayable: u64,
    /// Not hedged: the service failed to become ready for a second attempt.
    pub not_ready: u64,
    /// For how long the first attempt is waited for now, or `None` while there is too little to
    /// tell.
    pub delay: Option<Duration>,
}

/// What several layers have done together, and the longer of their delays.
impl Add for HedgeStats {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        // Without `..`, so that no counter can be forgotten.
        let Self {
            requests,
            hedged,
            won_first,
            won_second,
            failed,
            not_retryable,
            exhausted,
            not_replayable,
            not_ready,
            delay,
        } = other;
        Self {
            requests: self.requests.saturating_add(requests),
            hedged: self.hedged.saturating_add(hedged),
            won_first: self.won_first.saturating_add(won_first),
            won_second: self.won_second.saturating_add(won_second),
            failed: self.failed.saturating_add(failed),
            not_retryable: self.not_retryable.saturating_add(not_retryable),
            exhausted: self.exhausted.saturating_add(exhausted),
            not_replayable: self.not_replayable.saturating_add(not_replayable),
            not_ready: self.not_ready.saturating_add(not_ready),
            delay: self.delay.max(delay),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: Sum,
    not_retryable: Sum,
    /// What follows is of slow requests only.
    hedged: AtomicU64,
    won_first: AtomicU64,
    won_second: AtomicU64,
    failed: AtomicU64,
    exhausted: AtomicU64,
    not_replayable: AtomicU64,
    not_ready: AtomicU64,
}

impl Counters {
    pub(super) fn request(&self) {
        self.requests.add_one();
    }

    pub(super) fn hedged(&self) {
        self.hedged.fetch_add(1, Relaxed);
    }

    pub(super) fn ended(&self, end: End) {
        let counter = match end {
            End::WonFirst => &self.won_first,
            End::WonSecond => &self.won_second,
            End::Failed => &self.failed,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn refused(&self, refusal: Refusal) {
        let counter = match refusal {
            Refusal::NotRetryable => {
                self.not_retryable.add_one();
                return;
            }
            Refusal::Exhausted => &self.exhausted,
            Refusal::NotReady => &self.not_ready,
            _ => &self.not_replayable,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn snapshot(&self, delay: Option<Duration>) -> HedgeStats {
        HedgeStats {
            requests: self.requests.total(),
            hedged: self.hedged.load(Relaxed),
            won_first: self.won_first.load(Relaxed),
            won_second: self.won_second.load(Relaxed),
            failed: self.failed.load(Relaxed),
            not_retryable: self.not_retryable.total(),
            exhausted: self.exhausted.load(Relaxed),
            not_replayable: self.not_replayable.load(Relaxed),
            not_ready: self.not_ready.load(Relaxed),
            delay,
        }
    }
}

/// How a request that was hedged came to its outcome.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    WonFirst,
    WonSecond,
    Failed,
}

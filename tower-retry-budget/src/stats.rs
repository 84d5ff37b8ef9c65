//! Counters, one set for each layer.

use std::ops::Add;

use crate::{
    lanes::Sum,
    policy::Refusal,
    sync::{AtomicU64, Ordering::Relaxed},
};

/// A snapshot of what a [`RetryLayer`](crate::RetryLayer) has done, in all its services.
///
/// Each attempt whose verdict is [`Retry`](crate::Verdict::Retry) or
/// [`Unprocessed`](crate::Verdict::Unprocessed) either leads to a retry or a resend, or is counted
/// under the one reason why not, unless the request is cancelled or the service fails to become ready
/// before that. A retry or a resend is counted when it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryStats {
    /// Requests taken.
    pub requests: u64,
    /// Retries sent.
    pub retries: u64,
    /// Requests that were not processed, sent again at no cost.
    pub resent: u64,
    /// Requests that succeeded after at least one retry.
    pub recovered: u64,
    /// Not retried: the budget had no token, before the first attempt or after the last.
    pub exhausted: u64,
    /// Not retried: the policy does not let this request be sent twice.
    pub not_retryable: u64,
    /// Not retried or resent: the request could not be made again, as after a body above the limit.
    pub not_replayable: u64,
    /// Not retried: that was the last attempt.
    pub out_of_attempts: u64,
    /// Not retried or resent: the service was not ready within
    /// [`ready_timeout`](crate::Builder::ready_timeout).
    pub not_ready: u64,
    /// Not retried or resent: it could not have ended before the request's deadline.
    pub past_deadline: u64,
    /// Not retried: the server asked for none, or for a longer wait than it gets.
    pub unwanted: u64,
}

/// What several layers have done together.
impl Add for RetryStats {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        // Without `..`, so that no counter can be forgotten.
        let Self {
            requests,
            retries,
            resent,
            recovered,
            exhausted,
            not_retryable,
            not_replayable,
            out_of_attempts,
            not_ready,
            past_deadline,
            unwanted,
        } = other;
        Self {
            requests: self.requests.saturating_add(requests),
            retries: self.retries.saturating_add(retries),
            resent: self.resent.saturating_add(resent),
            recovered: self.recovered.saturating_add(recovered),
            exhausted: self.exhausted.saturating_add(exhausted),
            not_retryable: self.not_retryable.saturating_add(not_retryable),
            not_replayable: self.not_replayable.saturating_add(not_replayable),
            out_of_attempts: self.out_of_attempts.saturating_add(out_of_attempts),
            not_ready: self.not_ready.saturating_add(not_ready),
            past_deadline: self.past_deadline.saturating_add(past_deadline),
            unwanted: self.unwanted.saturating_add(unwanted),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// The only one that each request adds to.
    requests: Sum,
    retries: AtomicU64,
    resent: AtomicU64,
    recovered: AtomicU64,
    exhausted: AtomicU64,
    not_retryable: AtomicU64,
    not_replayable: AtomicU64,
    out_of_attempts: AtomicU64,
    not_ready: AtomicU64,
    past_deadline: AtomicU64,
    unwanted: AtomicU64,
}

impl Counters {
    pub(crate) fn request(&self) {
        self.requests.add_one();
    }

    pub(crate) fn retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub(crate) fn resent(&self) {
        self.resent.fetch_add(1, Relaxed);
    }

    pub(crate) fn recovered(&self) {
        self.recovered.fetch_add(1, Relaxed);
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        let counter = match refusal {
            Refusal::Exhausted => &self.exhausted,
            Refusal::NotRetryable => &self.not_retryable,
            Refusal::NotReplayable => &self.not_replayable,
            Refusal::OutOfAttempts => &self.out_of_attempts,
            Refusal::NotReady => &self.not_ready,
            Refusal::PastDeadline => &self.past_deadline,
            Refusal::Unwanted => &self.unwanted,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> RetryStats {
        RetryStats {
            requests: self.requests.total(),
            retries: self.retries.load(Relaxed),
            resent: self.resent.load(Relaxed),
            recovered: self.recovered.load(Relaxed),
            exhausted: self.exhausted.load(Relaxed),
            not_retryable: self.not_retryable.load(Relaxed),
            not_replayable: self.not_replayable.load(Relaxed),
            out_of_attempts: self.out_of_attempts.load(Relaxed),
            not_ready: self.not_ready.load(Relaxed),
            past_deadline: self.past_deadline.load(Relaxed),
            unwanted: self.unwanted.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_add_up() {
        let one = RetryStats {
            requests: 1,
            retries: 2,
            resent: 3,
            recovered: 4,
            exhausted: 5,
            not_retryable: 6,
            not_replayable: 7,
            out_of_attempts: 8,
            not_ready: 9,
            past_deadline: 10,
            unwanted: u64::MAX,
        };
        let both = one + one;
        let counts = [
            both.requests,
            both.retries,
            both.resent,
            both.recovered,
            both.exhausted,
            both.not_retryable,
            both.not_replayable,
            both.out_of_attempts,
            both.not_ready,
        ];
        assert_eq!(counts, [2, 4, 6, 8, 10, 12, 14, 16, 18]);
        assert_eq!((both.past_deadline, both.unwanted), (20, u64::MAX));
    }
}

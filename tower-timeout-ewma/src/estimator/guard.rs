//! What many timeouts do to the limit, whichever estimator it comes from.

use std::time::Duration;

use super::Transition;
use crate::sync::{AtomicU64, Ordering};

/// Doubles the limit for each timeout beyond the tolerated ones in the latest 64 requests.
///
/// Here some requests hang, so a few timeouts mean nothing. More mean that the service may be
/// slower than the limit, and nothing else will tell. The factor is kept apart from the estimate:
/// if the answers are slower than they were, it lets them through and they are learnt; if there
/// are none, the outage leaves no trace.
#[derive(Debug)]
pub(crate) struct Guard {
    /// One bit for each of the latest 64 requests, set if it timed out.
    outcomes: AtomicU64,
    /// What the factor multiplies: the bits of an `f64`, nanoseconds. Not the estimate, which rises
    /// with the answers that the factor lets through.
    doubled: AtomicU64,
    /// When it last doubled.
    doubled_at: AtomicU64,
    /// Answers in a row that came within the estimate, since then.
    within: AtomicU64,
    timeouts: AtomicU64,
    /// Of 64.
    tolerated: u32,
    /// In nanoseconds.
    max: f64,
}

impl Guard {
    /// `share` of the requests may time out for ever.
    pub(crate) fn new(share: f64, max: Duration) -> Self {
        Self {
            outcomes: AtomicU64::new(0),
            doubled: AtomicU64::new(0),
            doubled_at: AtomicU64::new(0),
            within: AtomicU64::new(0),
            timeouts: AtomicU64::new(0),
            tolerated: (share * 64.0) as u32,
            max: max.as_nanos() as f64,
        }
    }

    /// Whether none of the latest requests timed out: the common case.
    #[inline]
    pub(crate) fn is_calm(&self) -> bool {
        self.outcomes.load(Ordering::Relaxed) == 0
    }

    /// The limit in nanoseconds, where the estimate alone says `calm`.
    pub(crate) fn limit(&self, calm: f64) -> f64 {
        let outcomes = self.outcomes.load(Ordering::Relaxed);
        // The common case.
        if outcomes == 0 {
            return calm;
        }
        self.limit_with(calm, self.factor(outcomes)).min(self.max)
    }

    pub(crate) fn timeouts(&self) -> u64 {
        self.timeouts.load(Ordering::Relaxed)
    }

    pub(crate) fn count_timeout(&self) {
        self.timeouts.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether so many requests timed out that the estimate may only grow: it would forget how slow
    /// the service was before it is known whether these requests hang or are slow.
    pub(crate) fn is_up(&self) -> bool {
        self.is_suspicious(self.outcomes.load(Ordering::Relaxed))
    }

    /// An answer came after `latency`, and `calm` is what the estimate alone says now.
    ///
    /// While there is no timeout in sight it writes nothing.
    #[inline]
    pub(crate) fn answered(
        &self,
        latency: Duration,
        now: u64,
        calm: impl FnOnce() -> f64,
    ) -> Option<Transition> {
        match self.is_calm() {
            true => None,
            false => self.answered_in_trouble(latency, now, calm),
        }
    }

    #[cold]
    fn answered_in_trouble(
        &self,
        latency: Duration,
        now: u64,
        calm: impl FnOnce() -> f64,
    ) -> Option<Transition> {
        let outcomes = self.outcomes.load(Ordering::Relaxed);
        if self.factor(outcomes) > 1.0 && self.was_in_vain(latency, now, calm()) {
            self.within.store(0, Ordering::Relaxed);
            return self.change_outcomes(|_| 0);
        }
        self.change_outcomes(|outcomes| outcomes << 1)
    }

    /// No answer came within `limit`, and `calm` is what the estimate alone says now.
    pub(crate) fn timed_out(&self, limit: Duration, now: u64, calm: f64) -> Option<Transition> {
        self.count_timeout();
        if self.is_stale(limit, calm) {
            return None;
        }
        let (limit, in_force) = (limit.as_nanos() as f64, self.limit(calm));
        if limit * FAR_SHORTER < in_force {
            // Requests that started under less than about half of this limit say little about it: a
            // hundred in flight when a service slows down double it once or twice, not a hundred
            // times.
            return self.change_outcomes(renewed);
        }
        self.double_from_here(calm, now);
        self.change_outcomes(|outcomes| (outcomes << 1) | 1)
    }

    /// Whether a timeout is from when the limit was much longer: what has been answered since says
    /// more.
    pub(crate) fn is_stale(&self, limit: Duration, calm: f64) -> bool {
        limit.as_nanos() as f64 > STALE * self.limit(calm)
    }

    /// Whether the limit is the longest, has been for that long, and 64 answers in a row would have come
    /// without it: so those that time out hang.
    fn was_in_vain(&self, latency: Duration, now: u64, calm: f64) -> bool {
        if latency.as_nanos() as f64 > calm {
            self.within.store(0, Ordering::Relaxed);
            return false;
        }
        let within = self.within.fetch_add(1, Ordering::Relaxed) + 1;
        let passed = now.saturating_sub(self.doubled_at.load(Ordering::Relaxed));
        within >= 64 && passed as f64 > self.max && self.limit(calm) >= self.max
    }

    fn limit_with(&self, calm: f64, factor: f64) -> f64 {
        if factor <= 1.0 {
            return calm;
        }
        calm.max(f64::from_bits(self.doubled.load(Ordering::Relaxed)) * factor)
    }

    /// The next doubling doubles the limit that is in force now.
    fn double_from_here(&self, calm: f64, now: u64) {
        let factor = self.factor(self.outcomes.load(Ordering::Relaxed));
        let limit = self.limit_with(calm, factor);
        if limit < self.max {
            self.doubled_at.store(now, Ordering::Relaxed);
            self.within.store(0, Ordering::Relaxed);
        }
        let doubled = limit / factor;
        // Another thread may do the same in between: one of the two is as good as the other.
        self.doubled.store(doubled.to_bits(), Ordering::Relaxed);
    }

    fn change_outcomes(&self, change: impl Fn(u64) -> u64) -> Option<Transition> {
        let mut old = self.outcomes.load(Ordering::Relaxed);
        loop {
            let new = change(old);
            if new == old {
                return None;
            }
            match self.outcomes.compare_exchange_weak(
                old,
                new,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return self.transition(old, new),
                Err(current) => old = current,
            }
        }
    }

    fn transition(&self, old: u64, new: u64) -> Option<Transition> {
        match (self.is_suspicious(old), self.is_suspicious(new)) {
            (false, true) => Some(Transition::Relaxing),
            (true, false) => Some(Transition::Following),
            _ => None,
        }
    }

    /// How many times longer the limit is for the timeouts that are not isolated.
    fn factor(&self, outcomes: u64) -> f64 {
        let excess = outcomes.count_ones().saturating_sub(self.tolerated);
        2_f64.powi(excess.cast_signed())
    }

    /// One fewer than is tolerated is enough.
    fn is_suspicious(&self, outcomes: u64) -> bool {
        outcomes.count_ones() >= self.tolerated.max(2) - 1
    }
}

/// One more timeout in place of the oldest: the evidence is renewed but does not grow.
fn renewed(outcomes: u64) -> u64 {
    let new = (outcomes << 1) | 1;
    if new.count_ones() == outcomes.count_ones() {
        return new;
    }
    new & !(1 << (63 - new.leading_zeros()))
}

/// So many times the limit that is in force.
const STALE: f64 = 2.5;
/// A bit more than twice, so that the estimate may move a little meanwhile.
const FAR_SHORTER: f64 = 2.2;

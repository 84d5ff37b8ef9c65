//! The requests that an endpoint has: how many, how many of them without an answer yet, and for how
//! long it has owed one. Lock-free; nanoseconds in, no clock.

use crate::sync::{AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct Flights {
    /// Without an answer in the upper half, in flight in the lower.
    counts: AtomicU64,
    /// When the endpoint last answered, or was asked while it owed nothing.
    quiet_since: AtomicU64,
}

impl Flights {
    pub(crate) fn new() -> Self {
        Self {
            counts: AtomicU64::new(0),
            quiet_since: AtomicU64::new(0),
        }
    }

    /// A request was sent. Returns how many were in flight before.
    pub(crate) fn started(&self, now: u64) -> u32 {
        let before = self.counts.fetch_add(UNANSWERED + 1, Ordering::Relaxed);
        if before < UNANSWERED {
            self.quiet_since.store(now, Ordering::Relaxed);
        }
        before as u32
    }

    /// A request was answered, well or not, and is still in flight.
    pub(crate) fn answered(&self, now: u64) {
        self.quiet_since.store(now, Ordering::Relaxed);
        self.counts.fetch_sub(UNANSWERED, Ordering::Relaxed);
    }

    /// A request was answered, and that was all.
    pub(crate) fn answered_and_released(&self, now: u64) {
        self.quiet_since.store(now, Ordering::Relaxed);
        self.counts.fetch_sub(UNANSWERED + 1, Ordering::Relaxed);
    }

    /// A request without an answer was given up. That is no sign of life.
    pub(crate) fn cancelled(&self) {
        self.counts.fetch_sub(UNANSWERED + 1, Ordering::Relaxed);
    }

    /// A request that was answered is no longer in flight.
    pub(crate) fn released(&self) {
        self.counts.fetch_sub(1, Ordering::Relaxed);
    }

    /// Those without an answer yet.
    pub(crate) fn unanswered(&self) -> u32 {
        (self.counts.load(Ordering::Relaxed) >> 32) as u32
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.counts.load(Ordering::Relaxed) as u32
    }

    /// For how long the endpoint has owed an answer without giving any: since its last answer, or
    /// since the oldest request without one was sent, whichever is later.
    pub(crate) fn silence(&self, now: u64) -> u64 {
        if self.counts.load(Ordering::Relaxed) < UNANSWERED {
            return 0;
        }
        now.saturating_sub(self.quiet_since.load(Ordering::Relaxed))
    }
}

/// One request without an answer. There is room for four thousand million of either kind.
const UNANSWERED: u64 = 1 << 32;

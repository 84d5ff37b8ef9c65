//! The requests that an endpoint has: how many, how many of them without an answer yet, and for how
//! long it has owed one. Lock-free; nanoseconds in, no clock.

use crate::sync::{AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct Flights {
    /// Without an answer in the upper half, in flight in the lower.
    counts: AtomicU64,
    /// When the first request was sent that the endpoint has had since its last answer; zero if it
    /// had none. What was sent before is known to take its time.
    owed_since: AtomicU64,
}

impl Flights {
    pub(crate) fn new() -> Self {
        Self {
            counts: AtomicU64::new(0),
            owed_since: AtomicU64::new(0),
        }
    }

    /// A request was sent. Returns how many were in flight before. A silence of more than
    /// `patience` begins anew: whoever comes after that has come to see.
    pub(crate) fn started(&self, now: u64, patience: u64) -> u32 {
        let before = self.counts.fetch_add(UNANSWERED + 1, Ordering::Relaxed);
        let since = self.owed_since.load(Ordering::Relaxed);
        if since == 0 || now.saturating_sub(since) > patience {
            self.owed_since.store(now.max(1), Ordering::Relaxed);
        }
        before as u32
    }

    /// A request was answered, well or not, and is still in flight.
    pub(crate) fn answered(&self) {
        self.owed_since.store(0, Ordering::Relaxed);
        self.counts.fetch_sub(UNANSWERED, Ordering::Relaxed);
    }

    /// A request was answered, and that was all.
    pub(crate) fn answered_and_released(&self) {
        self.owed_since.store(0, Ordering::Relaxed);
        self.counts.fetch_sub(UNANSWERED + 1, Ordering::Relaxed);
    }

    /// A request without an answer, sent at `since`, was given up. That is no sign of life.
    pub(crate) fn cancelled(&self, since: u64) {
        if self.owed_since.load(Ordering::Relaxed) == since.max(1) {
            self.owed_since.store(0, Ordering::Relaxed);
        }
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

    /// Whether there is a request that it got after its last answer.
    pub(crate) fn owes(&self) -> bool {
        self.owed_since.load(Ordering::Relaxed) != 0
    }

    /// For how long the endpoint has owed an answer without giving any: since the first request
    /// after its last answer.
    pub(crate) fn silence(&self, now: u64) -> u64 {
        match self.owed_since.load(Ordering::Relaxed) {
            0 => 0,
            since => now.saturating_sub(since),
        }
    }
}

/// One request without an answer. There is room for four thousand million of either kind.
const UNANSWERED: u64 = 1 << 32;

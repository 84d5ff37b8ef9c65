//! The requests that an endpoint has: how many, how many of them without an answer yet, for how long
//! it has owed one, and how many have ended well. Lock-free; nanoseconds in, no clock.

use crate::sync::{AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct Flights {
    /// Three counts, so that an answer is one write: from the top, 16 bits of the successes, 24 of
    /// the requests without an answer, 24 of those in flight.
    counts: AtomicU64,
    /// When the first request was sent that the endpoint has had since its last answer; zero if it
    /// had none. What was sent before is known to take its time.
    owed_since: AtomicU64,
}

/// How often the successes have passed half of what their bits hold.
#[derive(Debug)]
pub(crate) struct Halves(AtomicU64);

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
        (before & MOST) as u32
    }

    /// A request was answered, well or not, and is still in flight.
    pub(crate) fn answered(&self) {
        self.owed_since.store(0, Ordering::Relaxed);
        self.counts.fetch_sub(UNANSWERED, Ordering::Relaxed);
    }

    /// A request was answered, not well, and that was all.
    pub(crate) fn answered_and_released(&self) {
        self.owed_since.store(0, Ordering::Relaxed);
        self.counts.fetch_sub(UNANSWERED + 1, Ordering::Relaxed);
    }

    /// A request was answered well, and that was all.
    pub(crate) fn answered_and_ended_well(&self, halves: &Halves) {
        self.owed_since.store(0, Ordering::Relaxed);
        self.end_well(UNANSWERED + 1, halves);
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

    /// Likewise, and it is a success.
    pub(crate) fn ended_well(&self, halves: &Halves) {
        self.end_well(1, halves);
    }

    fn end_well(&self, counts: u64, Halves(halves): &Halves) {
        let before = self.counts.fetch_add(SUCCESS - counts, Ordering::Relaxed);
        if (before / SUCCESS) % HALF == HALF - 1 {
            // Whoever sees this sees the count above too.
            halves.fetch_add(1, Ordering::Release);
        }
    }

    /// Of all time.
    pub(crate) fn successes(&self, Halves(halves): &Halves) -> u64 {
        let halves = halves.load(Ordering::Acquire);
        let last = self.counts.load(Ordering::Relaxed) / SUCCESS;
        // One that has just been passed may not be counted yet.
        let uncounted = (last / HALF) ^ (halves % 2);
        (halves + uncounted) * HALF + last % HALF
    }

    /// Those without an answer yet.
    pub(crate) fn unanswered(&self) -> u32 {
        ((self.counts.load(Ordering::Relaxed) / UNANSWERED) & MOST) as u32
    }

    pub(crate) fn in_flight(&self) -> u32 {
        (self.counts.load(Ordering::Relaxed) & MOST) as u32
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

impl Halves {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }
}

/// In flight or without an answer at the most: sixteen million at one endpoint.
const MOST: u64 = UNANSWERED - 1;
/// One request without an answer.
const UNANSWERED: u64 = 1 << 24;
const SUCCESS: u64 = 1 << 48;
/// Of the successes that their bits hold.
const HALF: u64 = 1 << 15;

//! What was asked of a backend lately and what it accepted: counts by periods of time, the time an
//! argument.

use crate::sync::{AtomicU64, Ordering::Relaxed};

/// Requests of the last so many nanoseconds, shared by any number of threads.
///
/// An answer counts in the period in which it comes. A request without one counts in the period
/// in which it was sent, once that has been over for as long as the patience lasts, and until it
/// is answered or given up.
///
/// All times are nanoseconds since one epoch. The threads may disagree about them: each count is
/// one word that also says of which period it is, so a turn of the ring needs no step of its own,
/// and a thread that is late by a whole window writes nothing.
///
/// Relaxed ordering is enough: nothing but the words themselves is published.
#[derive(Debug)]
pub(crate) struct Window {
    period: u64,
    patience: Option<u64>,
    accepted: Ring,
    refused: Ring,
    unanswered: Ring,
}

impl Window {
    /// An empty window. Without patience, nothing counts before it is answered.
    pub(crate) fn new(length: u64, patience: Option<u64>) -> Self {
        Self {
            period: (length / PERIODS as u64).max(1),
            patience,
            accepted: Ring::new(),
            refused: Ring::new(),
            unanswered: Ring::new(),
        }
    }

    /// Notes a request that is sent.
    pub(crate) fn sent(&self, now: u64) {
        if self.patience.is_some() {
            self.unanswered.add(self.period_of(now));
        }
    }

    /// Notes that a request which was not let through counts as one that was not accepted.
    pub(crate) fn held(&self, now: u64) {
        self.refused.add(self.period_of(now));
    }

    pub(crate) fn accepted(&self, sent: u64, now: u64) {
        self.forget(sent);
        self.accepted.add(self.period_of(now));
    }

    pub(crate) fn refused(&self, sent: u64, now: u64) {
        self.forget(sent);
        self.refused.add(self.period_of(now));
    }

    /// Notes a request that nobody waits for any more: one that was not answered in spite of all
    /// patience, or one that says nothing.
    pub(crate) fn given_up(&self, sent: u64, now: u64) {
        let waited = now.saturating_sub(sent);
        if self.patience.is_some_and(|patience| waited >= patience) {
            self.refused(sent, now);
        } else {
            self.forget(sent);
        }
    }

    /// Notes an answer that says nothing about the backend.
    pub(crate) fn forget(&self, sent: u64) {
        if self.patience.is_some() {
            self.unanswered.take_back(self.period_of(sent));
        }
    }

    pub(crate) fn counts(&self, now: u64) -> Counts {
        let first = self.first_at(now);
        let accepted = self.accepted.sum(first, u32::MAX);
        let refused = self.refused.sum(first, u32::MAX);
        let unanswered = self
            .patience
            .and_then(|patience| now.checked_sub(patience))
            .map_or(0, |due| self.unanswered.sum(first, self.period_of(due)));
        Counts {
            requests: accepted + refused + unanswered,
            accepted,
        }
    }

    fn first_at(&self, now: u64) -> u32 {
        self.period_of(now).saturating_sub(PERIODS as u32 - 1)
    }

    fn period_of(&self, time: u64) -> u32 {
        // The last one, which is years away, has no end.
        u32::try_from(time / self.period).unwrap_or(u32::MAX)
    }
}

/// What a window holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) accepted: u64,
}

impl Counts {
    /// How likely the next request is to be held back, if so many times what is accepted may be
    /// asked for, and `floor` requests in any case.
    pub(crate) fn probability(self, multiplier: f64, floor: f64) -> f64 {
        let requests = self.requests as f64;
        let excess = requests - multiplier * self.accepted as f64 - floor;
        (excess / (requests + 1.0)).clamp(0.0, 1.0)
    }
}

/// Counts of the newest periods, each with its period in the upper half of its word.
#[derive(Debug)]
pub(crate) struct Ring {
    slots: [AtomicU64; PERIODS],
}

impl Ring {
    pub(crate) fn new() -> Self {
        Self {
            slots: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    pub(crate) fn add(&self, period: u32) {
        self.change(period, |count| count.saturating_add(1));
    }

    pub(crate) fn take_back(&self, period: u32) {
        self.change(period, |count| count.saturating_sub(1));
    }

    /// The counts of the periods from `first` up to `end`, which is not included.
    pub(crate) fn sum(&self, first: u32, end: u32) -> u64 {
        let slots = self.slots.iter().map(|slot| unpack(slot.load(Relaxed)));
        slots
            .filter(|(period, _)| (first..end).contains(period))
            .map(|(_, count)| u64::from(count))
            .sum()
    }

    fn change(&self, period: u32, change: impl Fn(u32) -> u32) {
        let slot = &self.slots[period as usize % PERIODS];
        let mut word = slot.load(Relaxed);
        loop {
            let (current, count) = unpack(word);
            if current > period {
                // The window has moved on.
                return;
            }
            let count = if current == period { count } else { 0 };
            let new = pack(period, change(count));
            match slot.compare_exchange_weak(word, new, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }
}

fn pack(period: u32, count: u32) -> u64 {
    u64::from(period) << 32 | u64::from(count)
}

fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

/// Into how many periods a window is divided: it forgets a sixteenth of itself at a time.
pub(crate) const PERIODS: usize = 16;

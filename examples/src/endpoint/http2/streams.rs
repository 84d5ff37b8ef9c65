//! Counting a connection's streams.

use std::sync::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

/// How many streams a connection has, and how many its peer allows.
#[derive(Debug, Default)]
pub(super) struct Streams {
    in_flight: AtomicUsize,
    limit: AtomicUsize,
    /// How often in a row it was seen without any.
    seen_unused: AtomicU32,
}

impl Streams {
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(SeqCst)
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// What the peer's SETTINGS say now.
    pub(super) fn allow(&self, limit: usize) {
        self.limit.store(limit, Relaxed);
    }

    /// Counts one more, unless there are as many as may be.
    pub(super) fn enter(&self) -> bool {
        let limit = self.limit();
        let entered = self
            .in_flight
            .try_update(SeqCst, SeqCst, |count| (count < limit).then_some(count + 1));
        if entered.is_ok() {
            self.seen_unused.store(0, Relaxed);
        }
        entered.is_ok()
    }

    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, SeqCst);
    }

    /// Whether it was unused at so many of these looks in a row, this one included.
    pub(super) fn look_unused(&self, looks: u32) -> bool {
        if self.in_flight() > 0 {
            self.seen_unused.store(0, Relaxed);
            return false;
        }
        self.seen_unused.fetch_add(1, Relaxed) + 1 >= looks
    }
}

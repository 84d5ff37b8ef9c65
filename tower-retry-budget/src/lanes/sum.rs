//! Counters that threads do not share.

use crate::sync::{AtomicU64, Ordering::Relaxed, lane_count, thread_number};

/// A sum to which each thread adds at its own place.
#[derive(Debug)]
pub(crate) struct Sum {
    parts: Box<[Part]>,
}

/// On cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Part(AtomicU64);

impl Sum {
    pub(crate) fn new() -> Self {
        let parts = (0..lane_count()).map(|_| Part(AtomicU64::new(0)));
        Self {
            parts: parts.collect(),
        }
    }

    /// Returns what the part of this thread's lane is then.
    pub(crate) fn add_one(&self) -> u64 {
        let part = &self.parts[thread_number() & (self.parts.len() - 1)];
        part.0.fetch_add(1, Relaxed).wrapping_add(1)
    }

    pub(crate) fn total(&self) -> u64 {
        let parts = self.parts.iter().map(|part| part.0.load(Relaxed));
        parts.fold(0, u64::wrapping_add)
    }
}

impl Default for Sum {
    fn default() -> Self {
        Self::new()
    }
}

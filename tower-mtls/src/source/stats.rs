use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::SystemTime,
};

use crate::error::Failure;

/// What became of the rotations of one source, all of its clones together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SourceStats {
    rotations: u64,
    failed: [u64; Failure::COUNT],
    not_after: Option<SystemTime>,
}

impl SourceStats {
    /// Snapshots that came into force, the first one included.
    pub fn rotations(&self) -> u64 {
        self.rotations
    }

    /// Rotations that failed for this reason. One failure that lasts, as a bad file does that is read
    /// again and again, counts once.
    pub fn failed(&self, failure: Failure) -> u64 {
        self.failed[failure as usize]
    }

    /// Rotations that failed, for whatever reason.
    pub fn failed_total(&self) -> u64 {
        self.failed
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// When this side's certificate expires; `None` where there is none.
    pub fn not_after(&self) -> Option<SystemTime> {
        self.not_after
    }
}

impl fmt::Debug for SourceStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut stats = f.debug_struct("SourceStats");
        stats
            .field("rotations", &self.rotations)
            .field("not_after", &self.not_after);
        for &failure in Failure::ALL {
            if self.failed(failure) > 0 {
                stats.field(failure.as_str(), &self.failed(failure));
            }
        }
        stats.finish()
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    rotations: AtomicU64,
    failed: [AtomicU64; Failure::COUNT],
}

impl Counters {
    pub(super) fn rotated(&self) {
        self.rotations.fetch_add(1, Relaxed);
    }

    pub(super) fn failed(&self, failure: Failure) {
        self.failed[failure as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn snapshot(&self, not_after: Option<SystemTime>) -> SourceStats {
        let mut failed = [0; Failure::COUNT];
        for (count, counter) in failed.iter_mut().zip(&self.failed) {
            *count = counter.load(Relaxed);
        }
        SourceStats {
            rotations: self.rotations.load(Relaxed),
            failed,
            not_after,
        }
    }
}

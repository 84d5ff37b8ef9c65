use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::error::DenyReason;

/// How many requests were let through and refused, by all services of one layer.
///
/// They are read one by one while requests go on, so they need not add up exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    permitted: u64,
    denied: [u64; DenyReason::COUNT],
    audited: [u64; DenyReason::COUNT],
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    permitted: AtomicU64,
    denied: [AtomicU64; DenyReason::COUNT],
    audited: [AtomicU64; DenyReason::COUNT],
}

impl Stats {
    /// Requests that the policy permits, and that went on to the service inside.
    pub fn permitted(&self) -> u64 {
        self.permitted
    }

    /// Requests that were refused for `reason`.
    pub fn denied(&self, reason: DenyReason) -> u64 {
        self.denied[reason as usize]
    }

    /// Requests that were refused, for whatever reason.
    pub fn denied_total(&self) -> u64 {
        total(&self.denied)
    }

    /// Requests that went on only because the layer [audits](super::AuthorizeLayer::audit), and would have
    /// been refused for `reason`.
    pub fn audited(&self, reason: DenyReason) -> u64 {
        self.audited[reason as usize]
    }

    /// Requests that went on only because the layer audits, whatever the reason.
    pub fn audited_total(&self) -> u64 {
        total(&self.audited)
    }
}

impl Counters {
    pub(super) fn snapshot(&self) -> Stats {
        let load = |counters: &[AtomicU64; DenyReason::COUNT]| {
            std::array::from_fn(|reason| counters[reason].load(Relaxed))
        };
        Stats {
            permitted: self.permitted.load(Relaxed),
            denied: load(&self.denied),
            audited: load(&self.audited),
        }
    }

    pub(super) fn permit(&self) {
        self.permitted.fetch_add(1, Relaxed);
    }

    pub(super) fn deny(&self, reason: DenyReason) {
        self.denied[reason as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn audit(&self, reason: DenyReason) {
        self.audited[reason as usize].fetch_add(1, Relaxed);
    }
}

fn total(counts: &[u64]) -> u64 {
    counts
        .iter()
        .fold(0, |sum, count| sum.saturating_add(*count))
}

//! Counts of handshakes.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::error::Reason;

/// A snapshot of the handshakes of one layer or acceptor, all of its clones together.
///
/// [`waiting`](Self::waiting) and [`in_progress`](Self::in_progress) are gauges, the others count since the
/// layer or acceptor was built. They are read one by one while handshakes go on, so they need not add up
/// exactly. For metrics, [`Reason::ALL`] gives one time series for each way to fail:
///
/// ```
/// use tower_mtls::{Stats, error::Reason};
///
/// fn export(stats: &Stats) -> Vec<(&'static str, u64)> {
///     let failed = |reason: &Reason| (reason.as_str(), stats.failed(*reason));
///     Reason::ALL.iter().map(failed).collect()
/// }
/// # let _ = export;
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    waiting: u64,
    in_progress: u64,
    succeeded: u64,
    cancelled: u64,
    failed: [u64; Reason::COUNT],
    ended: [u64; Reason::COUNT],
}

impl Stats {
    /// Connections that wait for their client's first message or for a slot now. Always 0 on the client
    /// side, which has no slots.
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Handshakes that run now.
    pub fn in_progress(&self) -> u64 {
        self.in_progress
    }

    /// Handshakes that ended with a verified connection.
    pub fn succeeded(&self) -> u64 {
        self.succeeded
    }

    /// Handshakes, or waits for a slot, that the caller dropped.
    pub fn cancelled(&self) -> u64 {
        self.cancelled
    }

    /// Handshakes that failed for `reason`.
    pub fn failed(&self, reason: Reason) -> u64 {
        self.failed[reason as usize]
    }

    /// Handshakes that failed, for whatever reason.
    pub fn failed_total(&self) -> u64 {
        self.failed
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Connections whose peer ceased to be accepted for `reason`: its certificate expired, or was found at a
    /// rotation to be revoked or without a root.
    pub fn ended(&self, reason: Reason) -> u64 {
        self.ended[reason as usize]
    }
}

impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut stats = f.debug_struct("Stats");
        stats
            .field("waiting", &self.waiting)
            .field("in_progress", &self.in_progress)
            .field("succeeded", &self.succeeded)
            .field("cancelled", &self.cancelled);
        for &reason in Reason::ALL {
            if self.failed(reason) > 0 {
                stats.field(reason.as_str(), &self.failed(reason));
            }
        }
        let ended = self.ended.iter().sum::<u64>();
        if ended > 0 {
            stats.field("ended", &ended);
        }
        stats.finish()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    waiting: AtomicU64,
    in_progress: AtomicU64,
    succeeded: AtomicU64,
    cancelled: AtomicU64,
    failed: [AtomicU64; Reason::COUNT],
    ended: [AtomicU64; Reason::COUNT],
}

impl Counters {
    pub(crate) fn snapshot(&self) -> Stats {
        let read = |counters: &[AtomicU64; Reason::COUNT]| {
            std::array::from_fn(|reason| counters[reason].load(Relaxed))
        };
        Stats {
            waiting: self.waiting.load(Relaxed),
            in_progress: self.in_progress.load(Relaxed),
            succeeded: self.succeeded.load(Relaxed),
            cancelled: self.cancelled.load(Relaxed),
            failed: read(&self.failed),
            ended: read(&self.ended),
        }
    }

    pub(crate) fn ended(&self, reason: Reason, connections: usize) {
        self.ended[reason as usize].fetch_add(connections as u64, Relaxed);
    }
}

/// One handshake in the counters. Dropped without an outcome it counts as cancelled.
#[derive(Debug)]
pub(crate) struct Attempt {
    counters: Arc<Counters>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Waiting,
    Running,
    Ended,
}

impl Attempt {
    pub(crate) fn waiting(counters: &Arc<Counters>) -> Self {
        counters.waiting.fetch_add(1, Relaxed);
        Self {
            counters: counters.clone(),
            stage: Stage::Waiting,
        }
    }

    pub(crate) fn running(counters: &Arc<Counters>) -> Self {
        counters.in_progress.fetch_add(1, Relaxed);
        Self {
            counters: counters.clone(),
            stage: Stage::Running,
        }
    }

    /// The wait is over: the handshake runs.
    pub(crate) fn start(&mut self) {
        self.leave();
        self.stage = Stage::Running;
        self.counters.in_progress.fetch_add(1, Relaxed);
    }

    pub(crate) fn succeed(&mut self) {
        self.leave();
        self.counters.succeeded.fetch_add(1, Relaxed);
    }

    pub(crate) fn fail(&mut self, reason: Reason) {
        self.leave();
        self.counters.failed[reason as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    fn leave(&mut self) {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Waiting => self.counters.waiting.fetch_sub(1, Relaxed),
            Stage::Running => self.counters.in_progress.fetch_sub(1, Relaxed),
            Stage::Ended => 0,
        };
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !matches!(self.stage, Stage::Ended) {
            self.leave();
            self.counters.cancelled.fetch_add(1, Relaxed);
        }
    }
}

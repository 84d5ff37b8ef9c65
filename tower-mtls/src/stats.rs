//! Counts of handshakes.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::{
    error::Reason,
    observer::{Side, Told, Version},
};

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
    tls12: u64,
    tls13: u64,
    nanos: u64,
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
        self.tls12.saturating_add(self.tls13)
    }

    /// Handshakes that ended with a verified connection of this version of TLS.
    pub fn succeeded_with(&self, version: Version) -> u64 {
        match version {
            Version::Tls12 => self.tls12,
            Version::Tls13 => self.tls13,
        }
    }

    /// What those that succeeded took, all together; on the server's side from the connection's arrival.
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.nanos)
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
            .field("succeeded", &self.succeeded())
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

#[derive(Debug)]
pub(crate) struct Counters {
    side: Side,
    observer: Told,
    waiting: AtomicU64,
    in_progress: AtomicU64,
    tls12: AtomicU64,
    tls13: AtomicU64,
    nanos: AtomicU64,
    cancelled: AtomicU64,
    failed: [AtomicU64; Reason::COUNT],
    ended: [AtomicU64; Reason::COUNT],
}

/// What a handshake does until it ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    Waiting,
    Running,
}

impl Counters {
    pub(crate) fn new(side: Side, observer: Told) -> Self {
        Self {
            side,
            observer,
            waiting: AtomicU64::default(),
            in_progress: AtomicU64::default(),
            tls12: AtomicU64::default(),
            tls13: AtomicU64::default(),
            nanos: AtomicU64::default(),
            cancelled: AtomicU64::default(),
            failed: Default::default(),
            ended: Default::default(),
        }
    }

    pub(crate) fn side(&self) -> Side {
        self.side
    }

    pub(crate) fn observer(&self) -> &Told {
        &self.observer
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let read = |counters: &[AtomicU64; Reason::COUNT]| {
            std::array::from_fn(|reason| counters[reason].load(Relaxed))
        };
        Stats {
            waiting: self.waiting.load(Relaxed),
            in_progress: self.in_progress.load(Relaxed),
            tls12: self.tls12.load(Relaxed),
            tls13: self.tls13.load(Relaxed),
            nanos: self.nanos.load(Relaxed),
            cancelled: self.cancelled.load(Relaxed),
            failed: read(&self.failed),
            ended: read(&self.ended),
        }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.gauge(phase).fetch_add(1, Relaxed);
    }

    pub(crate) fn leave(&self, phase: Phase) {
        self.gauge(phase).fetch_sub(1, Relaxed);
    }

    pub(crate) fn succeeded(&self, version: Version, took: Duration) {
        let count = match version {
            Version::Tls12 => &self.tls12,
            Version::Tls13 => &self.tls13,
        };
        count.fetch_add(1, Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Relaxed);
    }

    pub(crate) fn failed(&self, reason: Reason) {
        self.failed[reason as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn cancelled(&self) {
        self.cancelled.fetch_add(1, Relaxed);
    }

    pub(crate) fn ended(&self, reason: Reason, connections: usize) {
        self.ended[reason as usize].fetch_add(connections as u64, Relaxed);
    }

    fn gauge(&self, phase: Phase) -> &AtomicU64 {
        match phase {
            Phase::Waiting => &self.waiting,
            Phase::Running => &self.in_progress,
        }
    }
}

//! What the pool and the task that moves bytes both know of one connection.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use tokio::{task::AbortHandle, time::Instant};
use tower_mtls::PeerIdentity;

use crate::endpoint::age::retirement;

/// The connections of one pool.
#[derive(Debug, Default)]
pub(super) struct Lives {
    count: AtomicUsize,
    /// Whether one of them was of use, or was given up by a caller: then their end is no failure.
    worked: AtomicBool,
}

/// One connection, which counts as live until its task has ended and no lease holds it.
pub(super) struct Link {
    lives: Arc<Lives>,
    made: Instant,
    /// Of the gate, when it was made.
    pub(super) round: u64,
    /// When it is too old to be used again.
    retires: Instant,
    /// In microseconds since it was made; [`IN_USE`] otherwise.
    unused_since: AtomicU64,
    driver: OnceLock<AbortHandle>,
    peer: Option<PeerIdentity>,
}

impl Lives {
    /// Whether there is a connection.
    pub(super) fn any(&self) -> bool {
        self.count.load(Acquire) > 0
    }

    pub(super) fn have_worked(&self) -> bool {
        self.worked.load(Relaxed)
    }

    /// One of them was of use.
    pub(super) fn work(&self) {
        // Most find it so: what nobody writes, no thread waits for.
        if !self.have_worked() {
            self.worked.store(true, Relaxed);
        }
    }
}

impl Link {
    /// A connection that nobody has used yet. The first after others have ended has their work
    /// before it, not behind.
    pub(super) fn new(
        lives: Arc<Lives>,
        max_age: Duration,
        round: u64,
        peer: Option<PeerIdentity>,
    ) -> Self {
        if lives.count.fetch_add(1, AcqRel) == 0 {
            lives.worked.store(false, Relaxed);
        }
        let made = Instant::now();
        Self {
            lives,
            made,
            round,
            retires: retirement(made, max_age),
            unused_since: AtomicU64::new(0),
            driver: OnceLock::new(),
            peer,
        }
    }

    pub(super) fn peer(&self) -> Option<&PeerIdentity> {
        self.peer.as_ref()
    }

    pub(super) fn driven_by(&self, driver: AbortHandle) {
        let _ = self.driver.set(driver);
    }

    /// Ends the connection now, whatever it still has to send.
    pub(super) fn cut(&self) {
        self.used();
        if let Some(driver) = self.driver.get() {
            driver.abort();
        }
    }

    pub(super) fn is_old(&self, now: Instant) -> bool {
        now >= self.retires
    }

    pub(super) fn unused_since(&self, now: Instant) {
        let since = now.saturating_duration_since(self.made).as_micros();
        let since = u64::try_from(since).unwrap_or(IN_USE);
        self.unused_since.store(since, Release);
    }

    /// It is used, or ended by our own doing.
    pub(super) fn used(&self) {
        self.unused_since.store(IN_USE, Release);
    }

    /// How long it has been unused, if it is.
    pub(super) fn unused_for(&self, now: Instant) -> Option<Duration> {
        let since = self.unused_since.load(Acquire);
        let age = now.saturating_duration_since(self.made);
        (since != IN_USE).then(|| age.saturating_sub(Duration::from_micros(since)))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.lives.count.fetch_sub(1, AcqRel);
    }
}

const IN_USE: u64 = u64::MAX;

//! What the pool and the task that moves bytes both know of one connection.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Acquire, Release},
        },
    },
    time::Duration,
};

use tokio::{task::AbortHandle, time::Instant};
use tower_mtls::PeerIdentity;

use crate::endpoint::age::retirement;

/// One connection, which counts as live until its task has ended and no lease holds it.
pub(super) struct Link {
    live: Arc<AtomicUsize>,
    made: Instant,
    /// When it is too old to be used again.
    retires: Instant,
    /// In microseconds since it was made; [`IN_USE`] otherwise.
    unused_since: AtomicU64,
    driver: OnceLock<AbortHandle>,
    peer: Option<PeerIdentity>,
}

impl Link {
    pub(super) fn new(
        live: Arc<AtomicUsize>,
        max_age: Duration,
        peer: Option<PeerIdentity>,
    ) -> Self {
        live.fetch_add(1, AcqRel);
        let made = Instant::now();
        Self {
            live,
            made,
            retires: retirement(made, max_age),
            unused_since: AtomicU64::new(IN_USE),
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
        self.live.fetch_sub(1, AcqRel);
    }
}

const IN_USE: u64 = u64::MAX;

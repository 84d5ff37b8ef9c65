//! What a source's handles and its updater share.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::SystemTime,
};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::{
    Event, SourceStats,
    observer::Told,
    snapshot::{Published, Snapshot},
    stats::Counters,
};
use crate::error::SourceError;

#[derive(Debug)]
pub(crate) struct Shared {
    current: ArcSwapOption<Published>,
    /// Writers one at a time; with the failure that the source is in, if it is in one.
    failing: Mutex<Option<SourceError>>,
    /// The serial in force; 0 before the first.
    serial: watch::Sender<u64>,
    expiry: watch::Sender<Option<SystemTime>>,
    /// Its receivers are the handles.
    handles: watch::Sender<()>,
    /// Whether a task watches the certificate's expiry.
    pub(super) attended: AtomicBool,
    pub(super) told: Told,
    counters: Counters,
}

impl Shared {
    pub(super) fn new(told: Told) -> Self {
        Self {
            current: ArcSwapOption::empty(),
            failing: Mutex::default(),
            serial: watch::Sender::new(0),
            expiry: watch::Sender::new(None),
            handles: watch::Sender::new(()),
            attended: AtomicBool::new(false),
            told,
            counters: Counters::default(),
        }
    }

    /// One snapshot for ever: whoever made it knows how old it is.
    pub(super) fn fixed(snapshot: Snapshot) -> Self {
        let shared = Self::new(Told::default());
        shared.expiry.send_replace(snapshot.not_after());
        shared.serial.send_replace(1);
        let published = Published::after(None, snapshot);
        shared.current.store(Some(Arc::new(published)));
        shared.counters.rotated();
        shared
    }

    /// The snapshot in force: no lock, no clone.
    pub(crate) fn current(&self) -> arc_swap::Guard<Option<Arc<Published>>> {
        self.current.load()
    }

    pub(super) fn publish(&self, snapshot: Snapshot, now: SystemTime) -> Result<(), SourceError> {
        if let Err(error) = snapshot.check(now) {
            self.fail(&error);
            return Err(error);
        }
        let not_after = snapshot.not_after();

        let mut failing = self.failing();
        let published = Published::after(self.current.load().as_deref(), snapshot);
        let serial = published.serial;
        self.current.store(Some(Arc::new(published)));
        self.counters.rotated();
        let recovered = failing.take().is_some();
        // In the lock, so that the last word is that of the last snapshot.
        self.serial.send_replace(serial);
        self.expiry.send_if_modified(|expiry| {
            let changed = *expiry != not_after;
            *expiry = not_after;
            changed
        });
        drop(failing);

        self.told.tell(&Event::Rotated { not_after });
        if recovered {
            self.told.tell(&Event::Recovered);
        }
        Ok(())
    }

    /// A failure, or one more meeting with the last one.
    pub(super) fn fail(&self, error: &SourceError) {
        let mut failing = self.failing();
        if failing.as_ref().is_some_and(|last| last.same(error)) {
            return;
        }
        *failing = Some(error.clone());
        drop(failing);
        self.counters.failed(error.failure());
        self.told.tell(&Event::Failed { error });
    }

    /// The source works, and has nothing new.
    pub(super) fn works(&self) {
        let recovered = self.failing().take().is_some();
        if recovered {
            self.told.tell(&Event::Recovered);
        }
    }

    pub(super) fn failure(&self) -> Option<SourceError> {
        self.failing().clone()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.serial.subscribe()
    }

    pub(super) fn expiry(&self) -> watch::Receiver<Option<SystemTime>> {
        self.expiry.subscribe()
    }

    pub(super) fn handle(&self) -> watch::Receiver<()> {
        self.handles.subscribe()
    }

    pub(super) async fn closed(&self) {
        self.handles.closed().await;
    }

    pub(super) fn stats(&self) -> SourceStats {
        self.counters.snapshot(*self.expiry.borrow())
    }

    pub(super) fn attend(&self) -> bool {
        !self.attended.load(Relaxed) && !self.attended.swap(true, Relaxed)
    }

    fn failing(&self) -> MutexGuard<'_, Option<SourceError>> {
        // Nothing panics in the lock.
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

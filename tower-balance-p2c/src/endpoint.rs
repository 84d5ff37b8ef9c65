use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use crate::load::Load;

/// One service that discovery has named. The driver and the requests each poll clones of it.
#[derive(Debug)]
pub(crate) struct Endpoint<K, S> {
    pub(crate) key: K,
    pub(crate) service: S,
    pub(crate) load: Arc<Load>,
    /// A hint: a clone was ready lately, and none has been found not ready since.
    ready: AtomicBool,
    removed: AtomicBool,
    /// Readiness errors in a row.
    errors: AtomicU32,
}

impl<K, S> Endpoint<K, S> {
    pub(crate) fn new(key: K, service: S, load: Arc<Load>) -> Self {
        Self {
            key,
            service,
            load,
            ready: AtomicBool::new(false),
            removed: AtomicBool::new(false),
            errors: AtomicU32::new(0),
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !self.is_removed()
    }

    pub(crate) fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// True for the one caller that turned the hint off.
    pub(crate) fn clear_ready(&self) -> bool {
        self.ready.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    pub(crate) fn remove(&self) {
        self.removed.store(true, Ordering::Release);
    }

    pub(crate) fn errors(&self) -> u32 {
        self.errors.load(Ordering::Relaxed)
    }

    pub(crate) fn readiness_failed(&self, now: u64) {
        self.load.failed_readiness(now);
        let _ = self
            .errors
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |errors| {
                errors.checked_add(1)
            });
    }

    /// A request was sent, so the readiness errors are over.
    pub(crate) fn dispatched(&self) {
        if self.errors() != 0 {
            self.errors.store(0, Ordering::Relaxed);
        }
    }
}

/// A message to the driver: a request has found this endpoint not ready.
#[derive(Debug)]
pub(crate) struct Unready<K, S> {
    pub(crate) endpoint: Arc<Endpoint<K, S>>,
    /// By an error, after which it is left alone for a while.
    pub(crate) failed: bool,
}

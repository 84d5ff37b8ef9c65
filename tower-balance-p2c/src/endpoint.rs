use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering},
    },
};

use crate::load::Load;

/// One service that discovery has named. The driver and the requests each poll clones of it.
pub(crate) struct Endpoint<K, S> {
    pub(crate) service: S,
    pub(crate) load: Arc<Load<K>>,
    flags: AtomicU8,
    /// Readiness errors in a row.
    errors: AtomicU32,
}

impl<K, S> Endpoint<K, S> {
    pub(crate) fn new(service: S, load: Arc<Load<K>>) -> Self {
        Self {
            service,
            load,
            flags: AtomicU8::new(0),
            errors: AtomicU32::new(0),
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.flags.load(Ordering::Acquire) == READY
    }

    pub(crate) fn set_ready(&self) {
        self.flags.fetch_or(READY, Ordering::AcqRel);
    }

    /// True for the one caller that turned the hint off.
    pub(crate) fn clear_ready(&self) -> bool {
        self.flags.fetch_and(!READY, Ordering::AcqRel) & READY != 0
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.flags.load(Ordering::Acquire) & REMOVED != 0
    }

    pub(crate) fn remove(&self) {
        self.flags.fetch_or(REMOVED, Ordering::AcqRel);
    }

    pub(crate) fn errors(&self) -> u32 {
        self.errors.load(Ordering::Relaxed)
    }

    pub(crate) fn readiness_failed(&self) {
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

impl<K, S> fmt::Debug for Endpoint<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}

/// A message to the driver: a request has found this endpoint not ready.
#[derive(Debug)]
pub(crate) struct Unready<K, S> {
    pub(crate) endpoint: Arc<Endpoint<K, S>>,
    /// By an error, after which it is left alone for a while.
    pub(crate) failed: bool,
}

/// A hint: a clone was ready lately, and none has been found not ready since.
const READY: u8 = 1;
const REMOVED: u8 = 2;

//! Which connection is the one to use, for requests, which take no lock.

use crate::sync::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// Connections are told apart by their generations. All that writes, but a request that is sent,
/// holds the lock under which connections are made and lost.
#[derive(Debug)]
pub(crate) struct Current {
    /// Or [`NONE`].
    generation: AtomicU64,
    /// The one that was let go of last although it was alive.
    draining: AtomicU64,
    /// Whether a request was sent since the last look. A request writes it only if it is not set.
    used: AtomicBool,
}

impl Current {
    pub(crate) fn new() -> Self {
        Self {
            generation: AtomicU64::new(NONE),
            draining: AtomicU64::new(NONE),
            used: AtomicBool::new(false),
        }
    }

    /// Whether this is the connection to use.
    #[inline]
    pub(crate) fn is(&self, generation: u64) -> bool {
        self.generation.load(Acquire) == generation
    }

    /// Whether this one is not to be used any more, but was alive when that was decided. Only of
    /// one that was current, and [is](Self::is) no longer.
    pub(crate) fn is_draining(&self, generation: u64) -> bool {
        self.draining.load(Acquire) == generation
    }

    /// The connection is dead or gone, and this is the one that there is, if any.
    pub(crate) fn replace(&self, generation: Option<u64>) {
        self.generation.store(generation.unwrap_or(NONE), Release);
    }

    /// The connection is let go of alive. To be followed by [`replace`](Self::replace), in this
    /// order: else whoever relies on it would find it neither current nor draining.
    pub(crate) fn drain(&self) {
        let generation = self.generation.load(Relaxed);
        if generation != NONE {
            self.draining.store(generation, Release);
        }
    }

    /// A request is sent.
    #[inline]
    pub(crate) fn touch(&self) {
        if !self.used.load(Relaxed) {
            self.used.store(true, Relaxed);
        }
    }

    /// Looks whether a request was sent since the last look.
    pub(crate) fn look(&self) -> bool {
        self.used.swap(false, Relaxed)
    }
}

/// No connection has this generation.
const NONE: u64 = 0;

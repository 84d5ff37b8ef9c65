//! What all bodies together may keep.

use std::{fmt, sync::Arc};

use crate::sync::{AtomicU64, Ordering};

/// A limit to what the bodies of all requests keep together, shared by its clones.
///
/// A body that finds no memory left goes on at full speed, and its request is not retried any
/// more. Memory is taken as a body is read and given back as soon as nobody can need it again: at
/// the latest when the response is passed on or the request is cancelled, even if the client has
/// stopped sending. (An older attempt that is still being sent, and that the newest one can still
/// complete, keeps it longer.)
///
/// What is counted is what [`BodyReplay::new`](super::BodyReplay::new) says. It is never above the
/// limit, whatever threads do. Kept frames are slices of the buffers that the client's body came
/// in and pin all of them, so the memory in use can be larger, by as much as those buffers are
/// larger than the slices.
#[derive(Clone)]
pub struct BodyMemory {
    pool: Arc<Pool>,
}

impl BodyMemory {
    /// Memory for `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            pool: Arc::new(Pool {
                used: AtomicU64::new(0),
                refused: AtomicU64::new(0),
                limit: limit as u64,
            }),
        }
    }

    /// The bytes in use.
    pub fn used(&self) -> usize {
        self.pool.used.load(Ordering::Relaxed) as usize
    }

    /// The bytes there are.
    pub fn limit(&self) -> usize {
        self.pool.limit as usize
    }

    /// How many bodies have found no memory.
    pub fn refused(&self) -> u64 {
        self.pool.refused.load(Ordering::Relaxed)
    }

    /// The account of one body.
    pub(crate) fn charge(&self) -> Charge {
        Charge {
            pool: Arc::clone(&self.pool),
            bytes: 0,
        }
    }
}

impl fmt::Debug for BodyMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyMemory")
            .field("limit", &self.limit())
            .field("used", &self.used())
            .field("refused", &self.refused())
            .finish()
    }
}

/// What one body has taken. It is given back when this is dropped.
pub(crate) struct Charge {
    pool: Arc<Pool>,
    bytes: u64,
}

impl Charge {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes so many bytes more, or none.
    pub(crate) fn grow(&mut self, bytes: u64) -> bool {
        let taken = self.pool.take(bytes);
        if taken {
            self.bytes += bytes;
        }
        taken
    }

    /// Gives back some of the bytes taken.
    pub(crate) fn shrink(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.pool.used.fetch_sub(bytes, Ordering::Relaxed);
        self.bytes -= bytes;
    }

    /// Gives back all of them.
    pub(crate) fn release(&mut self) {
        // Most bodies are released twice, and other threads are to be left alone.
        if self.bytes > 0 {
            self.shrink(self.bytes);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.release();
    }
}

struct Pool {
    used: AtomicU64,
    refused: AtomicU64,
    limit: u64,
}

impl Pool {
    /// Nothing is published by these counts, so that no order is needed.
    fn take(&self, bytes: u64) -> bool {
        let fits = |used: u64| {
            let used = used.checked_add(bytes)?;
            (used <= self.limit).then_some(used)
        };
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .is_ok();
        if !taken {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }
}

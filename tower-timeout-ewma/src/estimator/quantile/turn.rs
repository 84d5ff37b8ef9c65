//! Who does what is to be done now and then.

use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering::Relaxed};

/// Something that one thread at a time does to a `T`, when it is due. Nobody waits: who comes while
/// another is at it leaves it to that one.
#[derive(Debug)]
pub(super) struct Turn<T> {
    due: AtomicU64,
    subject: Mutex<T>,
}

impl<T> Turn<T> {
    /// Due at once.
    pub(super) fn new(subject: T) -> Self {
        Self {
            due: AtomicU64::new(0),
            subject: Mutex::new(subject),
        }
    }

    /// Whether it is worth to ask for it.
    #[inline]
    pub(super) fn is_due(&self, now: u64) -> bool {
        now >= self.due.load(Relaxed)
    }

    /// The subject, for whoever is the first to ask when it is due; next after `pause`.
    pub(super) fn take_if_due(&self, now: u64, pause: u64) -> Option<MutexGuard<'_, T>> {
        if !self.is_due(now) {
            return None;
        }
        let subject = self.subject.try_lock().ok()?;
        // Another may have been at it since. It is written only under the lock, so that it does not
        // go back.
        if !self.is_due(now) {
            return None;
        }
        self.due.store(now.saturating_add(pause), Relaxed);
        Some(subject)
    }
}

//! The tasks that wait for a connection, one waker each.

use std::{collections::BTreeMap, task::Waker};

/// Wakers by the order in which their owners began to wait.
///
/// Keys are never reused, so that one that has been woken cannot be taken for a later one. Every
/// waker that leaves is handed out, for the caller to drop or wake after it has let go of its
/// lock: either may run code of the waker's owner.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    next: u64,
    waiting: BTreeMap<u64, Waker>,
}

impl Waiters {
    /// Whether anybody waits.
    pub(crate) fn any(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Makes `waker` the one to wake for `key`, in place of the one from an earlier poll.
    pub(crate) fn register(&mut self, key: &mut Option<u64>, waker: &Waker) -> Option<Waker> {
        if let Some(registered) = key.and_then(|key| self.waiting.get_mut(&key)) {
            if registered.will_wake(waker) {
                return None;
            }
            return Some(std::mem::replace(registered, waker.clone()));
        }
        *key = Some(self.next);
        self.waiting.insert(self.next, waker.clone());
        self.next += 1;
        None
    }

    /// Ends the wait of `key`, if it still waits.
    pub(crate) fn remove(&mut self, key: &mut Option<u64>) -> Option<Waker> {
        key.take().and_then(|key| self.waiting.remove(&key))
    }

    /// Ends every wait. The first to wait comes first.
    pub(crate) fn take_all(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.waiting).into_values().collect()
    }
}

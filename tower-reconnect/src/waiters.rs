//! The tasks that wait for a connection, one waker each.

use std::{collections::BTreeMap, task::Waker, time::Duration};

/// Wakers by the order in which their owners began to wait. All waits are bounded by the same time,
/// or none is, so that they end in this order too.
///
/// Keys are never reused, so that one that has been woken cannot be taken for a later one. Every
/// waker that leaves is handed out, for the caller to drop or wake after it has let go of its
/// lock: either may run code of the waker's owner.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    next: u64,
    waiting: BTreeMap<u64, Waiter>,
}

#[derive(Debug)]
struct Waiter {
    waker: Waker,
    until: Option<Duration>,
}

impl Waiters {
    /// Whether anybody waits.
    pub(crate) fn any(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Makes `waker` the one to wake for `key`, in place of the one from an earlier poll. A new
    /// wait ends at `until` at the latest.
    pub(crate) fn register(
        &mut self,
        key: &mut Option<u64>,
        waker: &Waker,
        until: Option<Duration>,
    ) -> Option<Waker> {
        if let Some(registered) = key.and_then(|key| self.waiting.get_mut(&key)) {
            if registered.waker.will_wake(waker) {
                return None;
            }
            return Some(std::mem::replace(&mut registered.waker, waker.clone()));
        }
        let waker = waker.clone();
        *key = Some(self.next);
        self.waiting.insert(self.next, Waiter { waker, until });
        self.next += 1;
        None
    }

    /// Ends the wait of `key`, if it still waits.
    pub(crate) fn remove(&mut self, key: &mut Option<u64>) -> Option<Waker> {
        let waiter = key.take().and_then(|key| self.waiting.remove(&key));
        self.shrink();
        waiter.map(|waiter| waiter.waker)
    }

    /// Ends the longest wait.
    pub(crate) fn take_first(&mut self) -> Option<(u64, Waker)> {
        let (key, waiter) = self.waiting.pop_first()?;
        self.shrink();
        Some((key, waiter.waker))
    }

    /// Ends every wait. The first to wait comes first.
    pub(crate) fn take_all(&mut self) -> Vec<Waker> {
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_values().map(|waiter| waiter.waker).collect()
    }

    /// Ends every wait but the `longest`.
    pub(crate) fn take_all_but(&mut self, longest: usize) -> Vec<Waker> {
        if longest == 0 {
            return self.take_all();
        }
        let beyond = self.waiting.keys().nth(longest).copied();
        let Some(first) = beyond else {
            return Vec::new();
        };
        let taken = self.waiting.split_off(&first);
        taken.into_values().map(|waiter| waiter.waker).collect()
    }

    /// When the first bounded wait ends.
    pub(crate) fn earliest(&self) -> Option<Duration> {
        self.waiting.values().next()?.until
    }

    /// Ends the waits that end by `now`.
    pub(crate) fn take_expired(&mut self, now: Duration) -> Vec<Waker> {
        let mut expired = Vec::new();
        while self.earliest().is_some_and(|until| until <= now) {
            expired.extend(self.take_first().map(|(_, waker)| waker));
        }
        expired
    }

    /// A map keeps a node for as long as it is empty, which is most of the time.
    fn shrink(&mut self) {
        if self.waiting.is_empty() {
            self.waiting = BTreeMap::new();
        }
    }
}

/// Not to be called under a lock.
pub(crate) fn wake_all(wakers: Vec<Waker>) {
    for waker in wakers {
        waker.wake();
    }
}

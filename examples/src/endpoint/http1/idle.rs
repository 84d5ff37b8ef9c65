//! Connections that wait for a request.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use hyper::client::conn::http1;
use tokio::time::Instant;

use super::link::Link;
use crate::endpoint::{connection::RequestBody, idle_limit::IdleLimits};

/// What was given back, in the order of time. The lock is held for a push or a pop only, by
/// requests to this endpoint only.
pub(super) struct IdleList<B> {
    list: Mutex<Vec<Idle<B>>>,
    limit: Duration,
    learnt: Arc<IdleLimits>,
}

struct Idle<B> {
    sender: http1::SendRequest<B>,
    /// Gone as soon as the connection has ended.
    link: Weak<Link>,
    /// How long our own setting, and what its server told us, let it stay.
    limit: Duration,
    since: Instant,
}

impl<B: RequestBody> IdleList<B> {
    pub(super) fn new(limit: Duration, learnt: Arc<IdleLimits>) -> Self {
        let list = Mutex::default();
        Self {
            list,
            limit,
            learnt,
        }
    }

    /// The one that was used last, if it may be used again, and how long it was not.
    pub(super) fn take(&self) -> Option<(http1::SendRequest<B>, Arc<Link>, Duration)> {
        let now = Instant::now();
        let learnt = self.learnt.limit();
        let mut list = self.list();
        while let Some(next) = list.pop() {
            let Some(link) = next.link.upgrade().filter(|_| next.sender.is_ready()) else {
                continue;
            };
            if next.unused_for(now) >= learnt {
                // Left to its server, which shows so whether what was learnt still holds. Those
                // below it are older.
                list.push(next);
                return None;
            }
            link.used();
            let unused = next.unused_for(now);
            if unused < next.limit && !link.is_old(now) {
                return Some((next.sender, link, unused));
            }
        }
        None
    }

    /// Takes a connection back, with what its last response told.
    pub(super) fn keep(
        &self,
        sender: http1::SendRequest<B>,
        link: &Arc<Link>,
        told: Option<Duration>,
    ) {
        let now = Instant::now();
        if link.is_old(now) {
            return;
        }
        link.unused_since(now);
        let told = told.unwrap_or_else(|| self.learnt.untold());
        self.list().push(Idle {
            sender,
            link: Arc::downgrade(link),
            limit: told.min(self.limit),
            since: now,
        });
    }

    /// Ends the oldest of them, so that no more than `count` are left.
    pub(super) fn shrink_to(&self, count: usize) {
        let mut list = self.list();
        let surplus = list.len().saturating_sub(count);
        list.drain(..surplus).for_each(Idle::end);
    }

    /// Ends those that were unused for too long, and learns from those that were not.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        let mut list = self.list();
        let (stay, go): (Vec<_>, Vec<_>) = list.drain(..).partition(|idle| idle.may_stay(now));
        let longest = stay.first().map(|oldest| oldest.unused_for(now));
        *list = stay;
        drop(list);
        go.into_iter().for_each(Idle::end);
        self.learnt.open(longest, now);
    }

    fn list(&self) -> MutexGuard<'_, Vec<Idle<B>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Idle<B> {
    fn unused_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    fn may_stay(&self, now: Instant) -> bool {
        let link = self.link.upgrade();
        link.is_some_and(|link| !link.is_old(now)) && self.unused_for(now) < self.limit
    }

    /// Its end is our doing, and says nothing about its server.
    fn end(self) {
        if let Some(link) = self.link.upgrade() {
            link.used();
        }
    }
}

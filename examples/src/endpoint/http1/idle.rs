//! Connections that wait for a request.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::client::conn::http1;
use tokio::{sync::Notify, time::Instant};

use super::{
    link::{Link, Lives},
    pooled::{Made, Pooled},
};
use crate::endpoint::{connection::RequestBody, dials::Held, ended::Ended, idle_limit::IdleLimits};

/// What was given back, in the order of time. The lock is held for a push or a pop only, by
/// requests to this endpoint only.
pub(super) struct IdleList<B> {
    list: Mutex<Vec<Idle<B>>>,
    limit: Duration,
    learnt: Arc<IdleLimits>,
    /// Those who would rather have one than wait for a dial.
    waiting: AtomicUsize,
    freed: Notify,
}

struct Idle<B> {
    sender: http1::SendRequest<B>,
    /// Gone as soon as the connection has ended.
    link: Weak<Link>,
    held: Option<Held<Made<B>>>,
    /// How long our own setting, and what its server told us, let it stay.
    limit: Duration,
    since: Instant,
}

impl<B: RequestBody> IdleList<B> {
    pub(super) fn new(limit: Duration, learnt: Arc<IdleLimits>) -> Self {
        Self {
            list: Mutex::default(),
            limit,
            learnt,
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
        }
    }

    /// The one that was used last, if it may be used again, and how long it was not.
    pub(super) fn take(&self, lives: &Lives) -> Option<(Pooled<B>, Duration)> {
        let now = Instant::now();
        let learnt = self.learnt.limit();
        loop {
            let mut list = self.list();
            let next = list.pop()?;
            let Some(link) = next.link.upgrade().filter(|_| next.sender.is_ready()) else {
                drop(list);
                next.bury(lives);
                continue;
            };
            if next.unused_for(now) >= learnt {
                // Left to its server, which shows so whether what was learnt still holds. Those
                // below it are older.
                list.push(next);
                return None;
            }
            drop(list);
            link.used();
            let unused = next.unused_for(now);
            if unused < next.limit && !link.is_old(now) {
                let Idle { sender, held, .. } = next;
                return Some((Pooled { sender, link, held }, unused));
            }
        }
    }

    /// Whether there is one to [take](Self::take).
    pub(super) fn any(&self) -> bool {
        let now = Instant::now();
        let learnt = self.learnt.limit();
        let list = self.list();
        let mut usable = list.iter().rev().filter(|idle| idle.sender.is_ready());
        let mut usable = usable.by_ref().take_while(|it| it.unused_for(now) < learnt);
        usable.any(|idle| idle.may_stay(now))
    }

    /// Takes a connection back, with what its last response told.
    pub(super) fn keep(&self, pooled: Pooled<B>, told: Option<Duration>) {
        let Pooled { sender, link, held } = pooled;
        let now = Instant::now();
        if link.is_old(now) {
            return;
        }
        link.unused_since(now);
        let told = told.unwrap_or_else(|| self.learnt.untold());
        self.list().push(Idle {
            sender,
            link: Arc::downgrade(&link),
            held,
            limit: told.min(self.limit),
            since: now,
        });
        if self.waiting.load(Relaxed) > 0 {
            self.freed.notify_one();
        }
    }

    /// Waits until one is kept, which somebody else may take.
    pub(super) fn wait(&self) -> impl Future<Output = ()> + Send {
        self.waiting.fetch_add(1, Relaxed);
        let waiting = Waiting(&self.waiting);
        async move {
            let _waiting = waiting;
            self.freed.notified().await;
        }
    }

    /// How long one may be unused that has never been used.
    pub(super) fn limit_of_unused(&self) -> Duration {
        let known = self.learnt.limit().min(self.learnt.untold());
        known.min(self.limit)
    }

    /// Ends the oldest of them, so that no more than `count` are left.
    pub(super) fn shrink_to(&self, count: usize) {
        let mut list = self.list();
        let surplus = list.len().saturating_sub(count);
        let surplus: Vec<_> = list.drain(..surplus).collect();
        drop(list);
        surplus.into_iter().for_each(Idle::end);
    }

    /// Ends those that were unused for too long, and learns from those that were not.
    pub(super) fn sweep(&self, lives: &Lives) {
        let now = Instant::now();
        self.bury(lives);
        let mut list = self.list();
        let (stay, go): (Vec<_>, Vec<_>) = list.drain(..).partition(|idle| idle.may_stay(now));
        let longest = stay.first().map(|oldest| oldest.unused_for(now));
        *list = stay;
        drop(list);
        go.into_iter().for_each(Idle::end);
        self.learnt.open(longest, now);
    }

    /// Reports those that have ended.
    pub(super) fn bury(&self, lives: &Lives) {
        let mut list = self.list();
        let is_dead = |idle: &mut Idle<B>| idle.link.strong_count() == 0;
        let dead: Vec<_> = list.extract_if(.., is_dead).collect();
        drop(list);
        dead.into_iter().for_each(|idle| idle.bury(lives));
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

impl<B: RequestBody> Idle<B> {
    /// It has ended by itself.
    fn bury(self, lives: &Lives) {
        if let Some(mut held) = self.held {
            held.report_lost(Ended::new(
                lives.have_worked(),
                "closed while nobody used it",
            ));
        }
    }
}

/// Counted until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

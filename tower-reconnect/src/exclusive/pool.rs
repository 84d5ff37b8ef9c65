//! What all handles share: the gate, those who wait, and the connections that nobody has.

use std::{
    mem,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use super::{
    gate::Gate,
    stock::{Held, Stock},
};
use crate::{
    admission::{Wait, refusal},
    chance::Chance,
    driver::{Driver, discard},
    error::{BoxError, Cause},
    future::Refusal,
    limits::Limits,
    loss::Loss,
    mode::Mode,
    observed::{Observed, Visible},
    observer::{Event, Told},
    settings::Settings,
    view::View,
    waiters::{Waiters, wake_all},
    watch::{State, Watch},
};

/// Owned by the handles, so that dropping the last handle drops the connections and ends the task.
pub(crate) struct Pool<S> {
    pub(super) inner: Observed<Inner<S>>,
    pub(super) driver: Driver<Self>,
    pub(super) settings: Arc<Settings>,
    pub(super) chance: Chance,
    /// Of the jitter of the limits.
    seed: u64,
}

pub(super) struct Inner<S> {
    pub(super) gate: Gate<Cause>,
    pub(super) waiters: Waiters,
    pub(super) stock: Stock<S>,
    /// Whether a request was refused since the last dial: demand that has nothing to wake.
    pub(super) refused: bool,
}

/// What a handle that has no connection gets.
pub(super) enum Access<S> {
    Connected(Held<S>),
    /// The waker is registered.
    Waiting,
    Refused(Refusal),
}

impl<S> Pool<S> {
    pub(super) fn new(
        settings: Arc<Settings>,
        told: Option<Arc<Told>>,
        driver: Driver<Self>,
    ) -> Arc<Self> {
        let (eager, seed) = (settings.eager, settings.limits_seed());
        let inner = Inner {
            gate: Gate::new(settings.bounds.clone(), settings.place(), seed),
            waiters: Waiters::default(),
            stock: Stock::new(),
            refused: false,
        };
        let pool = Arc::new(Self {
            inner: Observed::new(inner, told),
            driver,
            chance: Chance::default(),
            settings,
            seed,
        });
        if eager {
            // Without a runtime the first poll from within one starts it.
            let _ = pool.driver.start(&pool);
        }
        pool
    }

    /// Asks for a connection of its own for a handle.
    pub(super) fn acquire(self: &Arc<Self>, wait: &mut Wait, context: &Context<'_>) -> Access<S> {
        if let Err(error) = self.driver.can_start() {
            return Access::Refused(Refusal::NoRuntime(error));
        }
        let mut inner = self.inner.lock();
        if let Some(held) = inner.stock.fetch(wait.key) {
            // The bound holds until it is ready: it may be dead already.
            let waker = inner.waiters.remove(&mut wait.key);
            drop(inner);
            drop(waker);
            return Access::Connected(held);
        }
        let (access, waker) = match self.refuse(&mut inner, wait) {
            Some(refusal) => (Access::Refused(refusal), inner.end(wait)),
            None => {
                let until = wait.until;
                let waiters = &mut inner.waiters;
                let replaced = waiters.register(&mut wait.key, context.waker(), until);
                (Access::Waiting, replaced)
            }
        };
        drop(inner);
        drop(waker);
        match self.driver.start(self) {
            Ok(true) => access,
            // The runtime is shutting down, or was.
            Ok(false) => {
                let refusal = self.refuse(&mut self.inner.lock(), wait);
                refusal.map_or(access, Access::Refused)
            }
            Err(error) => {
                // The task has come to rest since.
                self.leave(wait, None, false);
                Access::Refused(Refusal::NoRuntime(error))
            }
        }
    }

    /// Why a handle is not to wait, or nothing when it is.
    fn refuse(&self, inner: &mut Inner<S>, wait: &mut Wait) -> Option<Refusal> {
        let refusal = refusal(self.settings.mode, wait, &self.inner, &inner.view())?;
        inner.refused = true;
        Some(refusal)
    }

    /// Reports that a handle's connection is dead, for `cause`, after so many `answers`. Returns
    /// its successor, if there is one already.
    pub(super) fn lose(&self, lost: u64, answers: u32, cause: BoxError) -> Option<Held<S>> {
        let cause = Cause::from(cause);
        let now = self.inner.now();
        let random = self.chance.draw(self.settings.seed);
        let retired = self.settings.retired.is_true_for(&*cause);
        let (since, loss, successor, wakers) = self.inner.change(|inner| {
            let since = inner.gate.since(lost);
            let cause = cause.clone();
            let loss = match retired {
                true => inner.gate.retired(lost, now, cause, random, answers),
                false => inner.gate.lost(lost, now, cause, random),
            };
            let wakers = match loss {
                Loss::Unstable { .. } => inner.take_refused(self.settings.mode),
                Loss::Known | Loss::Stable | Loss::Renewing => Vec::new(),
            };
            (since, loss, inner.stock.forget(lost), wakers)
        });
        let age = now.saturating_sub(since.unwrap_or(now));
        self.inner.tell_loss(lost, &cause, age, loss, retired);
        wake_all(wakers);
        successor
    }

    /// Dials again after a loss that nobody's poll has seen, where a connection is always wanted.
    pub(super) fn go_on(self: &Arc<Self>) {
        if self.settings.eager {
            // Without a runtime the next poll sees to it.
            let _ = self.driver.start(self);
        }
    }

    /// Exchanges a handle's connection, which has no request under way, for its successor.
    pub(super) fn exchange(&self, mut old: Held<S>) -> Held<S> {
        let now = self.inner.now();
        let connection = old.generation;
        let (successor, since) = self.inner.change(|inner| {
            let successor = inner.stock.forget(connection);
            let since = successor
                .as_ref()
                .and_then(|_| inner.gate.replaced(connection));
            (successor, since)
        });
        let Some(successor) = successor else {
            // It was dropped with the task, and there will be no other.
            old.stay();
            return old;
        };
        drop(old);
        if let Some(since) = since {
            let age = now.saturating_sub(since);
            self.inner.tell(&Event::Replaced { connection, age });
        }
        successor
    }

    /// Takes what a handle had that is gone: its wait, or its connection, which is for somebody
    /// else if it was never called.
    pub(super) fn leave(self: &Arc<Self>, wait: &mut Wait, held: Option<Held<S>>, called: bool) {
        let now = self.inner.now();
        let (dropped, wakers, needed) = self.inner.change(|inner| {
            let granted = inner.stock.take_granted(wait.key);
            let mut left: Vec<_> = granted.into_iter().collect();
            let waker = inner.end(wait);
            let mut dropped = None;
            if let Some(held) = held {
                if called || inner.stock.has_successor(held.generation) {
                    left.extend(inner.stock.forget(held.generation));
                    inner.gate.released(held.generation);
                    dropped = Some(held);
                } else {
                    left.push(held);
                }
            }
            let given = left.into_iter().map(|held| self.give(inner, held, now));
            let wakers: Vec<_> = given.flatten().collect();
            let needed = self.settings.eager || inner.wake_at() < Duration::MAX;
            ((dropped, waker), wakers, needed)
        });
        drop(dropped);
        if needed {
            // To close what was kept when its time has come, or to dial again. Without a runtime
            // the next poll sees to it.
            let _ = self.driver.start(self);
        }
        wake_all(wakers);
    }

    /// Gives a connection to whoever has waited longest, or to a handle whose own is too old, or
    /// keeps it. Only to be called under the lock, and the waker only to be woken without.
    pub(super) fn give(&self, inner: &mut Inner<S>, held: Held<S>, now: Duration) -> Option<Waker> {
        if let Some((key, waker)) = inner.waiters.take_first() {
            inner.stock.grant(key, held);
            return Some(waker);
        }
        let mut held = held;
        while let Some(due) = inner.gate.take_due() {
            match inner.stock.succeed(due, held) {
                Ok(()) => return None,
                Err(back) => held = back,
            }
        }
        let unused = self.limits().spare_until(now, held.generation);
        let until = unused.min(inner.gate.renew_at(held.generation));
        inner.stock.keep(until, held);
        None
    }
}

impl<S> Pool<S> {
    pub(super) fn watch(&self) -> Watch {
        self.inner.watch()
    }

    pub(super) fn state(&self) -> State {
        self.inner.state()
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.inner.name().map(|name| &**name)
    }

    pub(super) fn reset_backoff(&self) {
        self.inner.change(|inner| inner.gate.reset());
        self.driver.nudge();
    }

    /// Nothing is dialled any more, and nobody waits for it.
    pub(super) fn shut(&self) {
        let (open, connections, wakers) = self.inner.change(|inner| {
            let connections = mem::replace(&mut inner.stock, Stock::new());
            (inner.gate.close(), connections, inner.waiters.take_all())
        });
        discard(connections);
        self.driver.stop();
        if open {
            self.inner.tell(&Event::Closed);
        }
        wake_all(wakers);
    }

    fn limits(&self) -> Limits {
        self.settings.bounds.limits(self.seed)
    }
}

impl<S> Drop for Pool<S> {
    fn drop(&mut self) {
        self.shut();
    }
}

impl<S> Visible for Inner<S> {
    fn view(&self) -> View<'_, Cause> {
        self.gate.view()
    }
}

impl<S> Inner<S> {
    fn end(&mut self, wait: &mut Wait) -> Option<Waker> {
        wait.until = None;
        self.waiters.remove(&mut wait.key)
    }

    /// Ends the waits of those who do not wait for a backoff, when one has begun. Dials that are
    /// under way are still waited for, by as many.
    pub(super) fn take_refused(&mut self, mode: Mode) -> Vec<Waker> {
        match mode {
            Mode::FailFast => self.waiters.take_all_but(self.gate.dialling()),
            Mode::Balanced | Mode::BoundedWait(_) => Vec::new(),
        }
    }
}

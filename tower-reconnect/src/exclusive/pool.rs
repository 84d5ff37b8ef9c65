//! What all handles share: the gate, those who wait, and the connections that nobody has.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use super::gate::{Gate, Loss, Phase as GatePhase};
use crate::{
    admission::{Wait, refusal},
    driver::Driver,
    error::{BoxError, Cause},
    future::Refusal,
    limits::Limits,
    observer::Event,
    policy::Policy,
    reporter::Reporter,
    waiters::{Waiters, wake_all},
    watch::{Phase, State, View, Watch},
};

/// Owned by the handles, so that dropping the last handle drops the connections and ends the task.
pub(crate) struct Pool<S> {
    pub(super) inner: Mutex<Inner<S>>,
    pub(super) driver: Driver<Self>,
    pub(super) reporter: Reporter,
    pub(super) policy: Policy,
    pub(super) limits: Limits,
}

pub(super) struct Inner<S> {
    pub(super) gate: Gate<Cause>,
    pub(super) waiters: Waiters,
    /// What was given to those who waited and have not fetched it yet.
    granted: BTreeMap<u64, Held<S>>,
    /// What nobody has, the latest last, and when it is closed.
    pub(super) spare: Vec<(Duration, Held<S>)>,
    /// What takes the place of connections that handles have.
    successors: BTreeMap<u64, Held<S>>,
    /// Whether the connections that handles have are to be replaced, where age is limited.
    pub(super) replaceable: BTreeMap<u64, Arc<AtomicBool>>,
    /// Whether a request was refused since the last dial: demand that has nothing to wake.
    pub(super) refused: bool,
}

/// A connection, and which one of those that there have been.
pub(super) struct Held<S> {
    pub(super) generation: u64,
    pub(super) service: S,
    /// Whether there is a successor.
    pub(super) replaced: Option<Arc<AtomicBool>>,
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
        gate: Gate<Cause>,
        limits: Limits,
        reporter: Reporter,
        driver: Driver<Self>,
        policy: Policy,
    ) -> Arc<Self> {
        let eager = policy.eager;
        let pool = Arc::new(Self {
            inner: Mutex::new(Inner {
                gate,
                waiters: Waiters::default(),
                granted: BTreeMap::new(),
                spare: Vec::new(),
                successors: BTreeMap::new(),
                replaceable: BTreeMap::new(),
                refused: false,
            }),
            driver,
            reporter,
            policy,
            limits,
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
        let mut inner = self.lock();
        if let Some(held) = inner.fetch(wait) {
            let waker = inner.end(wait);
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
                let refusal = self.refuse(&mut self.lock(), wait);
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
        let gate = &inner.gate;
        let refusal = refusal(
            self.policy.mode,
            wait,
            &self.reporter,
            &view(gate),
            gate.outage(),
        )?;
        inner.refused = true;
        Some(refusal)
    }

    /// Reports that a handle's connection is dead, for `cause`. Returns its successor, if there is
    /// one already. `worked` says whether it was ever called.
    pub(super) fn lose(&self, lost: u64, worked: bool, cause: BoxError) -> Option<Held<S>> {
        let cause = Cause::from(cause);
        let now = self.reporter.now();
        let random = self.policy.chance.draw();
        let retired = worked && self.policy.retired.is_true_for(&*cause);
        let (since, loss, successor) = self.change(|inner| {
            let since = inner.gate.since(lost);
            let loss = match retired {
                true => inner.gate.retired(lost, now, cause.clone()),
                false => inner.gate.lost(lost, now, cause.clone(), random),
            };
            (since, loss, inner.forget(lost))
        });
        let age = now.saturating_sub(since.unwrap_or(now));
        let (connection, cause) = (lost, &cause);
        let retry_in = match loss {
            Loss::Known => return successor,
            Loss::Stable => None,
            Loss::Unstable { delay } => Some(delay),
        };
        self.reporter.tell(&match retired {
            true => Event::Retired {
                connection,
                cause,
                age,
            },
            false => Event::Lost {
                connection,
                cause,
                age,
                retry_in,
            },
        });
        successor
    }

    /// Dials again after a loss that nobody's poll has seen, where a connection is always wanted.
    pub(super) fn go_on(self: &Arc<Self>) {
        if self.policy.eager {
            // Without a runtime the next poll sees to it.
            let _ = self.driver.start(self);
        }
    }

    /// Exchanges a handle's connection, which has no request under way, for its successor.
    pub(super) fn exchange(&self, mut old: Held<S>) -> Held<S> {
        let now = self.reporter.now();
        let connection = old.generation;
        let (successor, since) = self.change(|inner| {
            let successor = inner.forget(connection);
            let since = successor
                .as_ref()
                .and_then(|_| inner.gate.replaced(connection, now));
            (successor, since)
        });
        let Some(successor) = successor else {
            // It was dropped with the task, and there will be no other.
            old.replaced = None;
            return old;
        };
        drop(old);
        if let Some(since) = since {
            let age = now.saturating_sub(since);
            self.reporter.tell(&Event::Replaced { connection, age });
        }
        successor
    }

    /// Takes what a handle had that is gone: its wait, or its connection, which is for somebody
    /// else if it was never called.
    pub(super) fn leave(self: &Arc<Self>, wait: &mut Wait, held: Option<Held<S>>, called: bool) {
        let now = self.reporter.now();
        let (dropped, wakers, needed) = self.change(|inner| {
            let granted = wait.key.and_then(|key| inner.granted.remove(&key));
            let mut left: Vec<_> = granted.into_iter().collect();
            let waker = inner.end(wait);
            let mut dropped = None;
            if let Some(held) = held {
                let successor = inner.successors.remove(&held.generation);
                if called || successor.is_some() {
                    inner.replaceable.remove(&held.generation);
                    inner.gate.released(held.generation, now);
                    dropped = Some(held);
                } else {
                    left.push(held);
                }
                left.extend(successor);
            }
            let given = left.into_iter().map(|held| self.give(inner, held, now));
            let wakers: Vec<_> = given.flatten().collect();
            let needed = self.policy.eager || inner.wake_at() < Duration::MAX;
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
            inner.granted.insert(key, held);
            return Some(waker);
        }
        while let Some(due) = inner.gate.take_due() {
            if let Some(replaced) = inner.replaceable.get(&due)
                && due != held.generation
            {
                replaced.store(true, Ordering::Release);
                inner.successors.insert(due, held);
                return None;
            }
        }
        let unused = self.limits.spare_until(now, held.generation);
        let until = unused.min(inner.gate.renew_at(held.generation));
        inner.spare.push((until, held));
        None
    }
}

impl<S> Pool<S> {
    pub(super) fn watch(&self) -> Watch {
        let inner = self.lock();
        self.reporter.watch(&view(&inner.gate))
    }

    pub(super) fn state(&self) -> State {
        let inner = self.lock();
        self.reporter.state(&view(&inner.gate))
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.reporter.name().map(|name| &**name)
    }

    pub(super) fn reset_backoff(&self) {
        self.change(|inner| inner.gate.reset());
        self.driver.nudge();
    }

    /// Nothing is dialled any more, and nobody waits for it.
    pub(super) fn shut(&self) {
        let (open, connections, wakers) = self.change(|inner| {
            let connections = (
                std::mem::take(&mut inner.granted),
                std::mem::take(&mut inner.spare),
                std::mem::take(&mut inner.successors),
            );
            (inner.gate.close(), connections, inner.waiters.take_all())
        });
        drop(connections);
        self.driver.stop();
        if open {
            self.reporter.tell(&Event::Closed);
        }
        wake_all(wakers);
    }

    /// Changes the state under the lock, then shows it to the watches without.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut Inner<S>) -> R) -> R {
        let mut inner = self.lock();
        let before = inner.gate.version();
        let result = change(&mut inner);
        let changed = inner.gate.version() != before;
        let seen = changed.then(|| self.reporter.see(&view(&inner.gate)));
        drop(inner);
        self.reporter.publish(seen.flatten());
        result
    }

    fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        // Nothing under the lock panics half way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Drop for Pool<S> {
    fn drop(&mut self) {
        self.shut();
    }
}

impl<S> Inner<S> {
    /// A new connection.
    pub(super) fn hold(&mut self, generation: u64, service: S, ages: bool) -> Held<S> {
        let replaced = ages.then(|| {
            let replaced = Arc::new(AtomicBool::new(false));
            self.replaceable.insert(generation, replaced.clone());
            replaced
        });
        Held {
            generation,
            service,
            replaced,
        }
    }

    /// What is there for a handle that waits or has just come.
    fn fetch(&mut self, wait: &mut Wait) -> Option<Held<S>> {
        let granted = wait.key.and_then(|key| self.granted.remove(&key));
        granted.or_else(|| self.spare.pop().map(|(_, held)| held))
    }

    /// A connection is no longer to be replaced. Returns what was to take its place.
    fn forget(&mut self, generation: u64) -> Option<Held<S>> {
        self.replaceable.remove(&generation);
        self.successors.remove(&generation)
    }

    fn end(&mut self, wait: &mut Wait) -> Option<Waker> {
        wait.until = None;
        self.waiters.remove(&mut wait.key)
    }
}

fn view(gate: &Gate<Cause>) -> View<'_> {
    View {
        version: gate.version(),
        phase: match gate.phase() {
            GatePhase::Idle => Phase::Idle,
            GatePhase::Connecting => Phase::Connecting,
            GatePhase::Connected { since } => Phase::Connected { since },
            GatePhase::BackingOff { cause, until } => Phase::BackingOff { cause, until },
            GatePhase::Closed => Phase::Closed,
        },
        failures: gate.failures(),
        stats: gate.stats(),
        last_cause: gate.last_cause(),
    }
}

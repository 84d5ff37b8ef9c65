//! What all handles of one connection share, and the task that dials with them.

mod task;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Context,
};

use arc_swap::ArcSwapOption;

use crate::{
    admission::{Wait, refusal},
    current::Current,
    driver::Driver,
    error::{BoxError, Cause},
    future::Refusal,
    machine::{Loss, Machine, Phase as MachinePhase},
    observer::Event,
    policy::Policy,
    reporter::Reporter,
    waiters::Waiters,
    watch::{Phase, State, View, Watch},
};

/// Owned by the handles, so that dropping the last handle drops the connection and ends the task.
pub(crate) struct Shared<S> {
    /// That which `connection` is: cheaper to ask than the connection itself.
    current: Current,
    /// For requests, which take no lock. It and `current` change under the lock of `inner` only.
    connection: ArcSwapOption<Connection<S>>,
    inner: Mutex<Inner>,
    driver: Driver<Self>,
    reporter: Reporter,
    policy: Policy,
}

struct Inner {
    machine: Machine<Cause>,
    waiters: Waiters,
    /// Whether a request was refused since the last dial: demand that has nothing to wake.
    refused: bool,
}

/// A connection, and which one of those that there have been.
#[derive(Clone, Debug)]
pub(crate) struct Connection<S> {
    pub(crate) generation: u64,
    pub(crate) service: S,
}

/// What a handle that has no connection gets.
pub(crate) enum Access {
    /// There is one by now.
    Connected,
    /// The waker is registered.
    Waiting,
    Refused(Refusal),
}

impl<S> Shared<S> {
    pub(crate) fn new(
        machine: Machine<Cause>,
        reporter: Reporter,
        driver: Driver<Self>,
        policy: Policy,
    ) -> Arc<Self> {
        let eager = policy.eager;
        let shared = Arc::new(Self {
            current: Current::new(),
            connection: ArcSwapOption::empty(),
            inner: Mutex::new(Inner {
                machine,
                waiters: Waiters::default(),
                refused: false,
            }),
            driver,
            reporter,
            policy,
        });
        if eager {
            // Without a runtime the first poll from within one starts it.
            let _ = shared.driver.start(&shared);
        }
        shared
    }

    /// Asks for a connection where there was none.
    pub(crate) fn demand(self: &Arc<Self>, wait: &mut Wait, context: &Context<'_>) -> Access {
        if let Err(error) = self.driver.can_start() {
            return Access::Refused(Refusal::NoRuntime(error));
        }
        let mut inner = self.lock();
        let (access, waker) = match self.admit(&mut inner, wait) {
            None => {
                let until = wait.until;
                let replaced = inner
                    .waiters
                    .register(&mut wait.key, context.waker(), until);
                (Access::Waiting, replaced)
            }
            Some(access) => (access, inner.end(wait)),
        };
        drop(inner);
        drop(waker);
        if let Access::Connected = access {
            return access;
        }
        // A task that has not seen the loss yet has to hear of it. Another one takes one turn more
        // in its loop.
        match self.driver.start(self) {
            Ok(true) => access,
            // The runtime is shutting down, or was.
            Ok(false) => self.admit(&mut self.lock(), wait).unwrap_or(access),
            Err(error) => {
                // The task has come to rest since.
                self.leave(wait);
                Access::Refused(Refusal::NoRuntime(error))
            }
        }
    }

    /// Reports that the connection of this generation is dead, for `cause`.
    pub(crate) fn lose(&self, generation: u64, cause: BoxError) {
        let cause = Cause::from(cause);
        let now = self.reporter.now();
        let random = self.policy.chance.draw();
        let retired = self.policy.retired.is_true_for(&*cause);
        let (retired, loss, since, connection) = self.change(|inner| {
            let since = inner.machine.connection().map(|(_, since)| since);
            // One that was never asked for anything cannot have done its work.
            let used = self.current.was_used() || inner.machine.was_used();
            let retired = retired && used;
            let loss = match retired {
                true => inner.machine.retired(generation, cause.clone()),
                false => inner.machine.lost(generation, now, cause.clone(), random),
            };
            let connection = match loss {
                Loss::Known => None,
                _ => self.replace(None),
            };
            (retired, loss, since, connection)
        });
        drop(connection);
        let (connection, cause) = (generation, &cause);
        let age = now.saturating_sub(since.unwrap_or(now));
        let retry_in = match loss {
            Loss::Known => return,
            Loss::Stable | Loss::Renewing => None,
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
    }

    /// What to give a handle at once, or nothing when it has to wait.
    fn admit(&self, inner: &mut Inner, wait: &mut Wait) -> Option<Access> {
        if let MachinePhase::Connected { .. } = inner.machine.phase() {
            return Some(Access::Connected);
        }
        let machine = &inner.machine;
        let refusal = refusal(
            self.policy.mode,
            wait,
            &self.reporter,
            &view(machine),
            machine.outage(),
        )?;
        inner.refused = true;
        Some(Access::Refused(refusal))
    }
}

impl<S> Shared<S> {
    pub(crate) fn watch(&self) -> Watch {
        let inner = self.lock();
        self.reporter.watch(&view(&inner.machine))
    }

    pub(crate) fn state(&self) -> State {
        let inner = self.lock();
        self.reporter.state(&view(&inner.machine))
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.reporter.name().map(|name| &**name)
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether the connection of this generation is the one to use.
    pub(crate) fn is_current(&self, generation: u64) -> bool {
        self.current.is(generation)
    }

    /// Whether the connection of this generation is not to be used any more, but was alive when
    /// that was decided.
    pub(crate) fn is_draining(&self, generation: u64) -> bool {
        self.current.is_draining(generation)
    }

    /// A clone of the connection, if there is one that is not known to be dead.
    pub(crate) fn connection(&self) -> Option<Connection<S>>
    where
        S: Clone,
    {
        self.connection.load().as_deref().cloned()
    }

    /// A request is sent.
    pub(crate) fn touch(&self) {
        self.current.touch();
    }

    /// Ends a handle's wait.
    pub(crate) fn leave(&self, wait: &mut Wait) {
        let waker = self.lock().end(wait);
        drop(waker);
    }

    /// Forgets the failures.
    pub(crate) fn reset_backoff(&self) {
        let now = self.reporter.now();
        self.change(|inner| inner.machine.reset(now));
        self.driver.nudge();
    }

    /// Changes the state under the lock, then shows it to the watches without.
    fn change<R>(&self, change: impl FnOnce(&mut Inner) -> R) -> R {
        let mut inner = self.lock();
        let before = inner.machine.version();
        let result = change(&mut inner);
        let changed = inner.machine.version() != before;
        let seen = changed.then(|| self.reporter.see(&view(&inner.machine)));
        drop(inner);
        self.reporter.publish(seen.flatten());
        result
    }

    /// Only to be called under the lock, and what it returns only to be dropped without.
    fn replace(&self, connection: Option<Connection<S>>) -> Option<Arc<Connection<S>>> {
        let generation = connection.as_ref().map(|new| new.generation);
        let replaced = self.connection.swap(connection.map(Arc::new));
        self.current.replace(generation);
        replaced
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing under the lock panics half way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Drop for Shared<S> {
    fn drop(&mut self) {
        self.shut();
    }
}

impl Inner {
    fn end(&mut self, wait: &mut Wait) -> Option<std::task::Waker> {
        wait.until = None;
        self.waiters.remove(&mut wait.key)
    }
}

fn view(machine: &Machine<Cause>) -> View<'_> {
    View {
        version: machine.version(),
        phase: match machine.phase() {
            MachinePhase::Idle => Phase::Idle,
            MachinePhase::Connecting => Phase::Connecting,
            MachinePhase::Connected { since, .. } => Phase::Connected { since: *since },
            MachinePhase::BackingOff { cause, until } => Phase::BackingOff {
                cause,
                until: *until,
            },
            MachinePhase::Closed => Phase::Closed,
        },
        failures: machine.failures(),
        stats: machine.stats(),
        last_cause: machine.last_cause(),
    }
}

//! What all handles of one connection share, and the task that dials with them.

mod task;

use std::{sync::Arc, task::Context};

use arc_swap::ArcSwapOption;

use crate::{
    admission::{Wait, refusal},
    chance::Chance,
    current::Current,
    driver::Driver,
    error::{BoxError, Cause},
    future::Refusal,
    loss::Loss,
    machine::Machine,
    observed::{Observed, Visible},
    observer::Told,
    settings::Settings,
    view::{Phase, View},
    waiters::Waiters,
    watch::{State, Watch},
    work::Work,
};

/// Owned by the handles, so that dropping the last handle drops the connection and ends the task.
pub(crate) struct Shared<S> {
    /// That which `connection` is: cheaper to ask than the connection itself.
    current: Current,
    /// For requests, which take no lock. It and `current` change under the lock of `inner` only.
    connection: ArcSwapOption<Connection<S>>,
    inner: Observed<Inner>,
    driver: Driver<Self>,
    settings: Arc<Settings>,
    chance: Chance,
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
    /// For its responses, if there is any rule.
    pub(crate) work: Option<Arc<Work>>,
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
        settings: Arc<Settings>,
        told: Option<Arc<Told>>,
        driver: Driver<Self>,
    ) -> Arc<Self> {
        let bounds = settings.bounds.clone();
        let eager = settings.eager;
        let inner = Inner {
            machine: Machine::new(bounds, settings.place(), settings.limits_seed()),
            waiters: Waiters::default(),
            refused: false,
        };
        let shared = Arc::new(Self {
            current: Current::new(),
            connection: ArcSwapOption::empty(),
            inner: Observed::new(inner, told),
            driver,
            chance: Chance::default(),
            settings,
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
        let mut inner = self.inner.lock();
        let (access, waker) = match self.admit(&mut inner, wait) {
            None => {
                let until = wait.until;
                let replaced = inner
                    .waiters
                    .register(&mut wait.key, context.waker(), until);
                (Access::Waiting, replaced)
            }
            // The bound holds until it is ready.
            Some(Access::Connected) => {
                let waker = inner.waiters.remove(&mut wait.key);
                (Access::Connected, waker)
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
            Ok(false) => self.admit(&mut self.inner.lock(), wait).unwrap_or(access),
            Err(error) => {
                // The task has come to rest since.
                self.leave(wait);
                Access::Refused(Refusal::NoRuntime(error))
            }
        }
    }

    /// Reports that this connection is dead, for `cause`.
    pub(crate) fn lose(&self, lost: &Connection<S>, cause: BoxError) {
        let generation = lost.generation;
        let answers = lost.work.as_ref().map_or(0, |work| work.answers());
        let cause = Cause::from(cause);
        let now = self.inner.now();
        let random = self.chance.draw(self.settings.seed);
        let retired = self.settings.retired.is_true_for(&*cause);
        let (loss, since, connection) = self.inner.change(|inner| {
            let since = inner.machine.connection().map(|(_, since)| since);
            let cause = cause.clone();
            let loss = match retired {
                true => inner
                    .machine
                    .retired(generation, now, cause, random, answers),
                false => inner.machine.lost(generation, now, cause, random),
            };
            let connection = match loss {
                Loss::Known => None,
                _ => self.replace(None),
            };
            (loss, since, connection)
        });
        drop(connection);
        let age = now.saturating_sub(since.unwrap_or(now));
        self.inner.tell_loss(generation, &cause, age, loss, retired);
    }

    /// What to give a handle at once, or nothing when it has to wait.
    fn admit(&self, inner: &mut Inner, wait: &mut Wait) -> Option<Access> {
        let view = inner.view();
        if let Phase::Connected { .. } = view.phase {
            return Some(Access::Connected);
        }
        let refusal = refusal(self.settings.mode, wait, &self.inner, &view)?;
        inner.refused = true;
        Some(Access::Refused(refusal))
    }
}

impl<S> Shared<S> {
    pub(crate) fn watch(&self) -> Watch {
        self.inner.watch()
    }

    pub(crate) fn state(&self) -> State {
        self.inner.state()
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.inner.name().map(|name| &**name)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
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
        let waker = self.inner.lock().end(wait);
        drop(waker);
    }

    /// Forgets the failures.
    pub(crate) fn reset_backoff(&self) {
        let now = self.inner.now();
        self.inner.change(|inner| inner.machine.reset(now));
        self.driver.nudge();
    }

    /// Only to be called under the lock, and what it returns only to be dropped without.
    fn replace(&self, connection: Option<Connection<S>>) -> Option<Arc<Connection<S>>> {
        let generation = connection.as_ref().map(|new| new.generation);
        let replaced = self.connection.swap(connection.map(Arc::new));
        self.current.replace(generation);
        replaced
    }
}

impl<S> Drop for Shared<S> {
    fn drop(&mut self) {
        self.shut();
    }
}

impl Visible for Inner {
    fn view(&self) -> View<'_, Cause> {
        self.machine.view()
    }
}

impl Inner {
    fn end(&mut self, wait: &mut Wait) -> Option<std::task::Waker> {
        wait.until = None;
        self.waiters.remove(&mut wait.key)
    }
}

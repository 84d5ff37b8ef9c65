//! What all handles of one connection share, and the task that dials with them.

mod task;

use std::{
    error::Error,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::Context,
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::AbortHandle,
    time::Instant,
};

use crate::{
    chance::Chance,
    error::{BoxError, Cause, Closed, NoRuntime, Unavailable},
    future::Refusal,
    layer::Mode,
    machine::{Loss, Machine, Phase},
    retired::Retired,
    waiters::Waiters,
    watch::{self as state, Published, Watch},
};

/// Owned by the handles: the task has a weak reference only, so that dropping the last handle
/// drops the connection and ends the task.
pub(crate) struct Shared<S> {
    /// The generation of `connection`, or [`NONE`]: cheaper to ask than the connection itself.
    current: AtomicU64,
    /// For requests, which take no lock. Both change under the lock of `inner` only.
    connection: ArcSwapOption<Connection<S>>,
    inner: Mutex<Inner<S>>,
    wake: Arc<Notify>,
    task: OnceLock<AbortHandle>,
    publisher: watch::Sender<Published>,
    epoch: Instant,
    chance: Chance,
    mode: Mode,
    retired: Retired,
    name: Option<Arc<str>>,
}

struct Inner<S> {
    machine: Machine<Cause>,
    waiters: Waiters,
    /// Whether a request was refused since the last dial: demand that has nothing to wake.
    refused: bool,
    launch: Option<Launch<S>>,
}

/// Starts the task. It hides the type of the service that makes connections from the handles.
pub(crate) type Launch<S> =
    Box<dyn FnOnce(&Handle, Weak<Shared<S>>, Arc<Notify>) -> AbortHandle + Send>;

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
        chance: Chance,
        mode: Mode,
        retired: Retired,
        name: Option<Arc<str>>,
        launch: Launch<S>,
    ) -> Self {
        let epoch = Instant::now();
        let (publisher, _) = watch::channel(Published::new(&machine, epoch));
        Self {
            current: AtomicU64::new(NONE),
            connection: ArcSwapOption::empty(),
            inner: Mutex::new(Inner {
                machine,
                waiters: Waiters::default(),
                refused: false,
                launch: Some(launch),
            }),
            wake: Arc::new(Notify::new()),
            task: OnceLock::new(),
            publisher,
            epoch,
            chance,
            mode,
            retired,
            name,
        }
    }

    pub(crate) fn watch(&self) -> Watch {
        Watch::new(self.publisher.subscribe())
    }

    /// Whether the connection of this generation is not known to be dead.
    pub(crate) fn is_current(&self, generation: u64) -> bool {
        self.current.load(Ordering::Acquire) == generation
    }

    /// A clone of the connection, if there is one that is not known to be dead.
    pub(crate) fn connection(&self) -> Option<Connection<S>>
    where
        S: Clone,
    {
        self.connection.load().as_deref().cloned()
    }

    /// Asks for a connection where there was none.
    pub(crate) fn demand(
        self: &Arc<Self>,
        waiter: &mut Option<u64>,
        context: &Context<'_>,
    ) -> Access {
        if let Err(error) = self.start() {
            return Access::Refused(Refusal::NoRuntime(error));
        }
        let mut inner = self.lock();
        let (access, waker) = match self.admit(&mut inner) {
            None => {
                let replaced = inner.waiters.register(waiter, context.waker());
                (Access::Waiting, replaced)
            }
            Some(access) => (access, inner.waiters.remove(waiter)),
        };
        drop(inner);
        drop(waker);
        // A task that is idle, or has not seen the loss yet, has to hear of it. Another one takes
        // one turn more in its loop.
        if !matches!(access, Access::Connected) {
            self.wake.notify_one();
        }
        access
    }

    /// Reports that the connection of this generation is dead, for `cause`.
    pub(crate) fn lose(&self, generation: u64, cause: BoxError) {
        let cause = Cause::from(cause);
        let now = self.now();
        let random = self.chance.draw();
        let retired = self.retired.is(&*cause);
        let (loss, connection) = self.change(|inner| {
            let loss = match retired {
                true => inner.machine.retired(generation, cause.clone()),
                false => inner.machine.lost(generation, now, cause.clone(), random),
            };
            let connection = match loss {
                Loss::Known => None,
                Loss::Stable | Loss::Unstable { .. } => self.replace(None),
            };
            (loss, connection)
        });
        drop(connection);
        let name = self.name();
        let error: &(dyn Error + 'static) = &*cause;
        match loss {
            Loss::Known => {}
            Loss::Stable => tracing::debug!(name, error, "connection lost"),
            Loss::Unstable { delay } => {
                tracing::warn!(name, error, ?delay, "connection lost before it was stable");
            }
        }
    }

    /// Ends a handle's wait.
    pub(crate) fn leave(&self, waiter: &mut Option<u64>) {
        let waker = self.lock().waiters.remove(waiter);
        drop(waker);
    }

    fn start(self: &Arc<Self>) -> Result<(), NoRuntime> {
        if self.task.get().is_some() {
            return Ok(());
        }
        let runtime = Handle::try_current().map_err(|_| NoRuntime)?;
        let launch = self.lock().launch.take();
        // Without the lock: a runtime that is shutting down drops the task here and now, and that
        // closes us.
        if let Some(launch) = launch {
            let task = launch(&runtime, Arc::downgrade(self), self.wake.clone());
            // Never set before, as there was but one launch.
            let _ = self.task.set(task);
        }
        Ok(())
    }

    /// What to give a handle at once, or nothing when it has to wait.
    fn admit(&self, inner: &mut Inner<S>) -> Option<Access> {
        match inner.machine.phase() {
            Phase::Connected { .. } => Some(Access::Connected),
            Phase::BackingOff { cause, until } if self.mode == Mode::FailFast => {
                inner.refused = true;
                let unavailable = Unavailable {
                    name: self.name.clone(),
                    cause: cause.clone(),
                    failures: inner.machine.failures(),
                    wait: until.saturating_sub(self.now()),
                    next_attempt: state::at(self.epoch, *until),
                };
                Some(Access::Refused(Refusal::Unavailable(unavailable)))
            }
            Phase::Closed => {
                let name = self.name.clone();
                Some(Access::Refused(Refusal::Closed(Closed { name })))
            }
            Phase::Idle | Phase::Connecting | Phase::BackingOff { .. } => None,
        }
    }
}

impl<S> Shared<S> {
    /// Changes the state under the lock, then shows it to the watches without.
    fn change<R>(&self, change: impl FnOnce(&mut Inner<S>) -> R) -> R {
        let mut inner = self.lock();
        let before = inner.machine.version();
        let result = change(&mut inner);
        let changed = inner.machine.version() != before;
        let published = changed.then(|| Published::new(&inner.machine, self.epoch));
        drop(inner);
        if let Some(published) = published {
            self.publish(published);
        }
        result
    }

    /// Only to be called under the lock, and what it returns only to be dropped without.
    fn replace(&self, connection: Option<Connection<S>>) -> Option<Arc<Connection<S>>> {
        let generation = connection.as_ref().map_or(NONE, |new| new.generation);
        let replaced = self.connection.swap(connection.map(Arc::new));
        self.current.store(generation, Ordering::Release);
        replaced
    }

    fn publish(&self, mut next: Published) {
        self.publisher.send_if_modified(|latest| {
            // Two changes may arrive here in the wrong order.
            let newer = next.version > latest.version;
            if newer {
                mem::swap(latest, &mut next);
            }
            newer
        });
    }

    fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        // Nothing under the lock panics half way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.epoch)
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl<S> Drop for Shared<S> {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
        self.close();
    }
}

/// No connection has this generation.
const NONE: u64 = 0;

//! The task that dials: the only one that does, and only when a state machine says so.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    task::Poll,
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::Notify,
    task::{AbortHandle, JoinSet},
    time::{Instant, timeout},
};
use tower_service::Service;

use crate::{
    connector::Connector,
    error::{BoxError, NoRuntime},
};

/// What handles share and the task works on.
pub(crate) trait Drive: Send + Sync + 'static {
    type Connection: Send + 'static;
    /// Tells a dial from another.
    type Ticket: Send + 'static;

    /// What the task has to do now.
    fn next(&self) -> Next<Self::Ticket>;

    /// Takes the outcome of a dial, and how long it took.
    fn finish(&self, ticket: Self::Ticket, outcome: Outcome<Self::Connection>, took: Duration);

    /// The task has ended.
    fn close(&self);
}

pub(crate) type Outcome<S> = Result<S, BoxError>;

pub(crate) enum Next<T> {
    /// Dial once, then ask again at once.
    Dial(T),
    /// Ask again when woken, when a dial has ended, or after this long.
    Wait(Option<Duration>),
}

/// The task of a [`Drive`], which is started at the first demand, and ends with its owner.
///
/// The handles own the state, and the state this: the task has a weak reference only, so that
/// dropping the last handle drops the connections and ends the task with every dial.
pub(crate) struct Driver<D> {
    launch: Mutex<Option<Launch<D>>>,
    task: OnceLock<AbortHandle>,
    wake: Arc<Notify>,
}

/// Starts the task. It hides the type of the service that makes connections from the handles.
type Launch<D> = Box<dyn FnOnce(&Handle, Weak<D>, Arc<Notify>) -> AbortHandle + Send>;

impl<D: Drive> Driver<D> {
    pub(crate) fn new<M, T>(connector: Connector<M, T>) -> Self
    where
        M: Service<T, Response = D::Connection> + Send + 'static,
        M::Error: Into<BoxError>,
        M::Future: Send,
        T: Clone + Send + 'static,
    {
        Self {
            launch: Mutex::new(Some(Box::new(move |runtime, driven, wake| {
                // Now, not at the first poll: a runtime that is shutting down drops the future
                // unpolled.
                let guard = CloseOnDrop(driven);
                runtime.spawn(run(connector, guard, wake)).abort_handle()
            }))),
            task: OnceLock::new(),
            wake: Arc::new(Notify::new()),
        }
    }
}

impl<D> Driver<D> {
    /// Starts the task of `driven`, whose driver this is, if it was not started before. No lock of
    /// it may be held: a runtime that is shutting down drops the task, which closes `driven`.
    pub(crate) fn start(&self, driven: &Arc<D>) -> Result<(), NoRuntime> {
        if self.task.get().is_some() {
            return Ok(());
        }
        let runtime = Handle::try_current().map_err(|_| NoRuntime)?;
        if let Some(launch) = self.take() {
            let task = launch(&runtime, Arc::downgrade(driven), self.wake.clone());
            // Never set before, as there was but one launch.
            let _ = self.task.set(task);
        }
        Ok(())
    }

    /// Makes the task ask what there is to do.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Ends the task, or drops what it would have been.
    pub(crate) fn stop(&self) {
        drop(self.take());
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    fn take(&self) -> Option<Launch<D>> {
        let mut launch = self.launch.lock().unwrap_or_else(PoisonError::into_inner);
        launch.take()
    }
}

async fn run<D, M, T>(connector: Connector<M, T>, guard: CloseOnDrop<D>, wake: Arc<Notify>)
where
    D: Drive,
    M: Service<T, Response = D::Connection> + Send + 'static,
    M::Error: Into<BoxError>,
    M::Future: Send,
    T: Clone + Send + 'static,
{
    // Dials end with the task.
    let mut dials = JoinSet::new();
    // Never across an await: else the task would keep alive what ends it.
    while let Some(next) = guard.0.upgrade().map(|driven| driven.next()) {
        let limit = match next {
            Next::Dial(ticket) => {
                let started = Instant::now();
                let dial = connector.dial();
                dials.spawn(async move { (ticket, dial.await, started) });
                continue;
            }
            Next::Wait(limit) => limit,
        };
        let ended = match limit {
            Some(limit) => timeout(limit, ended(&mut dials, &wake)).await,
            None => Ok(ended(&mut dials, &wake).await),
        };
        match ended {
            Ok(Some(Ok((ticket, outcome, started)))) => {
                let took = Instant::now().saturating_duration_since(started);
                if let Some(driven) = guard.0.upgrade() {
                    driven.finish(ticket, outcome, took);
                }
            }
            // A dial that could not even begin, for want of a timer.
            Ok(Some(Err(_))) => return,
            Ok(None) | Err(_) => {}
        }
    }
}

/// Waits for the end of a dial, or with nothing for a wakeup.
async fn ended<O: 'static>(
    dials: &mut JoinSet<O>,
    wake: &Notify,
) -> Option<Result<O, tokio::task::JoinError>> {
    let mut woken = pin!(wake.notified());
    poll_fn(|context| {
        if !dials.is_empty()
            && let Poll::Ready(ended) = dials.poll_join_next(context)
        {
            return Poll::Ready(ended);
        }
        woken.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// However the task ends, by a panic or with its runtime, nobody is left waiting for it.
struct CloseOnDrop<D: Drive>(Weak<D>);

impl<D: Drive> Drop for CloseOnDrop<D> {
    fn drop(&mut self) {
        if let Some(driven) = self.0.upgrade() {
            driven.close();
        }
    }
}

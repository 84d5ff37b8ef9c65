//! The task that dials: the only one that does, and only when a state machine says so. It is there
//! while there is something to do or to wait for.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Weak},
    task::Poll,
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::Notify,
    task::{JoinError, JoinSet},
    time::{Instant, timeout},
};
use tower_service::Service;

use crate::{
    connector::{Connector, Dialler},
    error::{BoxError, NoRuntime},
    task::{Call, Post},
};

/// What handles share and the task works on.
pub(crate) trait Drive: Send + Sync + Sized + 'static {
    type Connection: Send + 'static;
    /// Tells a dial from another.
    type Ticket: Send + 'static;

    fn driver(&self) -> &Driver<Self>;

    /// What the task has to do now.
    fn next(&self) -> Next<Self::Ticket>;

    /// Takes the outcome of a dial, and how long it took.
    fn finish(&self, ticket: Self::Ticket, outcome: Outcome<Self::Connection>, took: Duration);

    /// The task has been ended.
    fn close(&self);
}

pub(crate) type Outcome<S> = Result<S, BoxError>;

pub(crate) enum Next<T> {
    /// Dial once, then ask again at once.
    Dial(T),
    /// Ask again when woken, when a dial has ended, or after this long.
    Wait(Option<Duration>),
}

/// The task of a [`Drive`], which is started when there is something to do, and ends with its owner.
///
/// The handles own the state, and the state this: the task has a weak reference only, so that
/// dropping the last handle drops the connections and ends the task with every dial.
pub(crate) struct Driver<D>(Post<Box<dyn Launch<D>>>);

/// Hides the type of the service that makes connections from the handles.
trait Launch<D>: Send {
    fn launch(self: Box<Self>, runtime: &Handle, driven: Weak<D>, wake: Arc<Notify>);
}

impl<D> Driver<D> {
    pub(crate) fn new<M, T>(connector: Connector<M, T>) -> Self
    where
        D: Drive,
        M: Service<T, Response = D::Connection> + Send + 'static,
        M::Error: Into<BoxError>,
        M::Future: Send,
        T: Clone + Send + 'static,
    {
        Self(Post::new(Box::new(connector)))
    }

    /// Whether the task can be started from here, or need not be.
    pub(crate) fn can_start(&self) -> Result<(), NoRuntime> {
        match self.0.rests() {
            true => Handle::try_current().map(drop).map_err(|_| NoRuntime),
            false => Ok(()),
        }
    }

    /// Makes the task of `driven`, whose driver this is, ask what there is to do, and starts it if
    /// there is none. Returns whether there is one. No lock of `driven` may be held: a runtime that
    /// is shutting down drops the task, which closes `driven`.
    pub(crate) fn start(&self, driven: &Arc<D>) -> Result<bool, NoRuntime> {
        match self.0.call(Handle::try_current).map_err(|_| NoRuntime)? {
            Call::Running => Ok(true),
            Call::Stopped => Ok(false),
            Call::Start(connector, runtime, wake) => {
                connector.launch(&runtime, Arc::downgrade(driven), wake);
                Ok(!self.0.is_stopped())
            }
        }
    }

    /// Makes the task, if there is one, ask what there is to do.
    pub(crate) fn nudge(&self) {
        self.0.nudge();
    }

    /// Lets no task be started any more. One that is there is woken, to see that its owner is gone.
    pub(crate) fn stop(&self) {
        self.0.stop();
    }
}

impl<D, M, T> Launch<D> for Connector<M, T>
where
    D: Drive,
    M: Service<T, Response = D::Connection> + Send + 'static,
    M::Error: Into<BoxError>,
    M::Future: Send,
    T: Clone + Send + 'static,
{
    fn launch(self: Box<Self>, runtime: &Handle, driven: Weak<D>, wake: Arc<Notify>) {
        // Before the first poll: a runtime that is shutting down drops the future unpolled.
        let guard = Guard {
            driven: Some(driven),
            close: D::close,
        };
        runtime.spawn(run(Arc::new(self.dialler()), guard, wake));
    }
}

/// Drops connections where a panic in that would end the task.
pub(crate) fn discard<S>(connections: S) {
    // It is theirs alone: nothing that we share is in there.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(connections)));
}

async fn run<D, M, T>(dialler: Arc<Dialler<M, T>>, mut guard: Guard<D>, wake: Arc<Notify>)
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
    while let Some(driven) = guard.driven() {
        driven.driver().0.ask();
        let limit = match driven.next() {
            Next::Dial(ticket) => {
                let started = Instant::now();
                let dial = dialler.clone().dial();
                dials.spawn(async move { (ticket, dial.await, started) });
                continue;
            }
            Next::Wait(None) if dials.is_empty() => {
                // Every dial lets go of it at its end.
                let Some(dialler) = Arc::into_inner(dialler) else {
                    return;
                };
                if let Some(called) = driven.driver().0.rest(Box::new(dialler.connector())) {
                    called.launch(&Handle::current(), Arc::downgrade(&driven), wake);
                }
                return guard.disarm();
            }
            Next::Wait(limit) => limit,
        };
        drop(driven);
        let ended = match limit {
            Some(limit) => timeout(limit, ended(&mut dials, &wake)).await,
            None => Ok(ended(&mut dials, &wake).await),
        };
        match ended {
            Ok(Some(Ok((ticket, outcome, started)))) => {
                let took = Instant::now().saturating_duration_since(started);
                if let Some(driven) = guard.driven() {
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
async fn ended<O: 'static>(dials: &mut JoinSet<O>, wake: &Notify) -> Option<Result<O, JoinError>> {
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

/// However the task is ended, by a panic or with its runtime, nobody is left waiting for it.
struct Guard<D> {
    driven: Option<Weak<D>>,
    close: fn(&D),
}

impl<D> Guard<D> {
    fn driven(&self) -> Option<Arc<D>> {
        self.driven.as_ref()?.upgrade()
    }

    /// It has come to rest.
    fn disarm(&mut self) {
        self.driven = None;
    }
}

impl<D> Drop for Guard<D> {
    fn drop(&mut self) {
        if let Some(driven) = self.driven() {
            (self.close)(&driven);
        }
    }
}

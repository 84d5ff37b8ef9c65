//! Further connections to one endpoint, each for one user: the exclusive shape of `tower-reconnect`.

use std::{
    fmt,
    future::{Future, Ready, poll_fn, ready},
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};
use tower::service_fn;
use tower_layer::Layer;
use tower_reconnect::{Event, Observer, Watch, error::InvalidSetting, exclusive::Exclusive};
use tower_service::Service;

use super::{ended::Ended, log::ConnectionLog};
use crate::{BoxError, cluster::layers, config::ReconnectConfig};

/// Makes connections of the kind `C`, as many at once as the gate of the layer lets through.
pub(super) struct Dials<C> {
    /// Never polled: each connection belongs to a clone.
    first: Exclusive<Fresh<C>>,
    gate: Arc<Gate>,
    patience: Duration,
}

/// A connection that was made, and by which its end is reported.
pub(super) type Held<C> = Box<Exclusive<Fresh<C>>>;

/// What dials have shown, for those who would dial next.
#[derive(Debug)]
pub(super) struct Gate {
    log: ConnectionLog,
    /// Whether the last that is known is a failure.
    failing: AtomicBool,
    /// Whether no connection has answered since the last failure.
    unproven: AtomicBool,
    /// How often it has failed.
    round: AtomicU64,
    failed: Notify,
}

/// A connection that nobody has used yet. It is handed out by its one call.
pub(super) struct Fresh<C>(Mutex<Option<C>>);

/// Whether a connection that nobody uses has ended.
pub(super) trait MayEnd {
    fn has_ended(&self) -> bool;
}

impl<C: MayEnd + Send + 'static> Dials<C> {
    /// Dials `address` by `dial`, within the connect timeout.
    pub(super) fn new<F>(
        address: SocketAddr,
        config: &ReconnectConfig,
        gate: Arc<Gate>,
        dial: impl Fn() -> F + Send + 'static,
    ) -> Result<Self, InvalidSetting>
    where
        F: Future<Output = Result<C, BoxError>> + Send,
    {
        let patience = config.connect_timeout;
        let layer = layers::exclusive(address, config, GateObserver(gate.clone()))?;
        let first = layer.layer(service_fn(move |_| {
            let dialled = dial();
            async move { Ok::<_, BoxError>(Fresh(Mutex::new(Some(dialled.await?)))) }
        }));
        Ok(Self {
            first,
            gate,
            patience,
        })
    }

    /// A connection, or why there is none now: a dial that fails is not tried again here.
    pub(super) async fn connect(&self) -> Result<(C, Held<C>), BoxError> {
        self.wait(true).await
    }

    /// The same, when the backoff lets it through.
    pub(super) async fn connect_when_due(&self) -> Result<(C, Held<C>), BoxError> {
        self.wait(false).await
    }

    /// Returns when there is a connection for the next who asks.
    pub(super) fn one(&self) -> impl Future<Output = ()> + Send + use<C> {
        let mut handle = Box::new(self.first.clone());
        async move {
            let _ = poll_fn(|cx| Service::<()>::poll_ready(&mut *handle, cx)).await;
        }
    }

    /// A connection made in this round has answered: the endpoint is well, and may be dialled as
    /// often as is needed.
    pub(super) fn proven(&self, round: u64) {
        if self.gate.unproven.load(Relaxed) && self.gate.round() == round {
            self.gate.unproven.store(false, Relaxed);
            self.first.reset_backoff();
        }
    }

    async fn wait(&self, refuses: bool) -> Result<(C, Held<C>), BoxError> {
        let mut handle = Box::new(self.first.clone());
        let mut failed = pin!(self.gate.failed.notified());
        failed.as_mut().enable();
        let mut late = pin!(sleep(self.patience));
        poll_fn(|cx| {
            // There may be one that somebody else did not need.
            if let Poll::Ready(ready) = Service::<()>::poll_ready(&mut *handle, cx) {
                return Poll::Ready(ready);
            }
            let fails = refuses && self.gate.is_failing();
            if fails || failed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(self.gate.why().into()));
            }
            match refuses {
                true => late.as_mut().poll(cx).map(|()| Err(NOT_IN_TIME.into())),
                false => Poll::Pending,
            }
        })
        .await?;
        let connection = handle.call(()).await?;
        Ok((connection, handle))
    }
}

impl<C> Dials<C> {
    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(super) fn watch(&self) -> Watch {
        self.first.watch()
    }
}

impl Gate {
    pub(super) fn new(log: ConnectionLog) -> Arc<Self> {
        Arc::new(Self {
            log,
            failing: AtomicBool::new(false),
            unproven: AtomicBool::new(false),
            round: AtomicU64::new(0),
            failed: Notify::new(),
        })
    }

    /// Whether a dial has failed, or a connection died young, and none was made since.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Acquire)
    }

    pub(super) fn round(&self) -> u64 {
        self.round.load(Relaxed)
    }

    /// What failed last.
    pub(super) fn why(&self) -> String {
        let failure = self.log.last_failure();
        failure.map_or_else(|| NOT_IN_TIME.to_owned(), |last| last.cause.to_string())
    }
}

struct GateObserver(Arc<Gate>);

impl Observer for GateObserver {
    fn event(&self, event: &Event<'_>) {
        let gate = &self.0;
        gate.log.event(event);
        match event {
            Event::DialFailed { .. }
            | Event::Lost {
                retry_in: Some(_), ..
            } => {
                gate.round.fetch_add(1, Relaxed);
                gate.unproven.store(true, Relaxed);
                gate.failing.store(true, Release);
                gate.failed.notify_waiters();
            }
            Event::Connected { .. } => gate.failing.store(false, Release),
            _ => {}
        }
    }
}

impl<C: MayEnd> Service<()> for Fresh<C> {
    type Response = C;
    type Error = Ended;
    type Future = Ready<Result<C, Ended>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        let connection = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        Poll::Ready(match connection {
            Some(connection) if !connection.has_ended() => Ok(()),
            _ => Err(Ended::new(false, UNUSED)),
        })
    }

    fn call(&mut self, (): ()) -> Self::Future {
        let connection = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        ready(connection.take().ok_or_else(|| Ended::new(false, UNUSED)))
    }
}

impl<C> Clone for Dials<C> {
    fn clone(&self) -> Self {
        Self {
            first: self.first.clone(),
            gate: self.gate.clone(),
            patience: self.patience,
        }
    }
}

impl<C> fmt::Debug for Dials<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.first, f)
    }
}

const NOT_IN_TIME: &str = "no connection was made in time";

const UNUSED: &str = "the connection ended before it was used";

#[cfg(test)]
mod tests;

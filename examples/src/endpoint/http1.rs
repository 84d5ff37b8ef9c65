//! Exclusive HTTP/1 connections to one endpoint: last in, first out, bounded in number and queue.

use std::{
    error::Error,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use http::{Request, Response};
use hyper::client::conn::http1;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use super::{
    connection::{EndpointBody, RequestBody},
    ended::{Ended, Unsent},
    handshake::{Dialer, Http1Parts},
};
use crate::{BoxError, config::ReconnectConfig};

/// The connections to one endpoint, behind one cheap handle.
///
/// A request takes a slot first, then an idle connection or a new one; so there are never more
/// connections than slots, and those who wait are served in order. The pool is over, and says so by
/// an error in `poll_ready`, as soon as a dial fails or its last connection has ended: then the
/// reconnecting layer above decides when to dial again, and no request meets a dead endpoint.
pub struct Pool<B> {
    shared: Arc<Shared<B>>,
}

/// The right to one connection, kept until its response has ended.
///
/// A lease that is dropped instead of given back closes its connection.
pub struct Lease<B> {
    sender: http1::SendRequest<B>,
    shared: Arc<Shared<B>>,
    slot: OwnedSemaphorePermit,
}

/// No connection became free within `reconnect.connect_timeout`.
#[derive(Clone, Copy, Debug)]
pub struct NoFreeConnection;

/// More requests wait for a connection than `reconnect.max_pending` allows.
#[derive(Clone, Copy, Debug)]
pub struct TooManyPending {
    limit: usize,
}

struct Shared<B> {
    dialer: Dialer,
    slots: Arc<Semaphore>,
    pending: AtomicUsize,
    max_pending: usize,
    /// Held for a push or a pop only, by requests to this endpoint only.
    idle: Mutex<Vec<Idle<B>>>,
    idle_limit: Duration,
    live: Arc<AtomicUsize>,
    /// Whether a connection was of use, or was given up by a caller: then their end is no failure.
    worked: AtomicBool,
    failure: OnceLock<Arc<str>>,
}

struct Idle<B> {
    sender: http1::SendRequest<B>,
    since: Instant,
}

impl<B: RequestBody> Pool<B> {
    pub(super) fn new(dialer: Dialer, first: Http1Parts<B>, settings: &ReconnectConfig) -> Self {
        let shared = Arc::new(Shared {
            dialer,
            slots: Arc::new(Semaphore::new(
                settings.max_connections.min(Semaphore::MAX_PERMITS),
            )),
            pending: AtomicUsize::new(0),
            max_pending: settings.max_pending,
            idle: Mutex::new(Vec::new()),
            idle_limit: settings.idle,
            live: Arc::default(),
            worked: AtomicBool::new(false),
            failure: OnceLock::new(),
        });
        let sender = shared.drive(first);
        shared.keep(sender);
        tokio::spawn(sweep(Arc::downgrade(&shared), settings.idle));
        Self { shared }
    }

    pub(super) fn poll_ready(&self) -> Poll<Result<(), BoxError>> {
        let shared = &self.shared;
        let worked = shared.worked.load(Ordering::Relaxed);
        if let Some(failure) = shared.failure.get() {
            return Poll::Ready(Err(Ended::new(false, failure).into()));
        }
        if shared.live.load(Ordering::Acquire) == 0 {
            return Poll::Ready(Err(Ended::new(worked, "all connections have ended").into()));
        }
        Poll::Ready(Ok(()))
    }

    pub(super) async fn send(
        self,
        mut request: Request<B>,
    ) -> Result<Response<EndpointBody<B>>, BoxError> {
        let slot = self.shared.slot().await?;
        loop {
            let (mut sender, reused) = match self.shared.take_idle() {
                Some(sender) => (sender, true),
                None => match self.shared.dial().await {
                    Ok(sender) => (sender, false),
                    Err(error) => return Err(Unsent::new(request, error).into()),
                },
            };
            let abandoned = Abandoned(Some(&self.shared.worked));
            let sent = sender.try_send_request(request).await;
            abandoned.not();
            match sent {
                Ok(response) => {
                    self.shared.worked.store(true, Ordering::Relaxed);
                    let lease = Lease {
                        sender,
                        shared: self.shared,
                        slot,
                    };
                    return Ok(response.map(|body| EndpointBody::leased(body, lease)));
                }
                // The server closed an idle connection as we took it: nothing was sent.
                Err(mut error) => match error.take_message().filter(|_| reused) {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
    }
}

impl<B: RequestBody> Shared<B> {
    async fn slot(&self) -> Result<OwnedSemaphorePermit, BoxError> {
        if let Ok(slot) = self.slots.clone().try_acquire_owned() {
            return Ok(slot);
        }
        let _waiting = Waiting::enter(&self.pending, self.max_pending)?;
        let slot = timeout(self.dialer.timeout(), self.slots.clone().acquire_owned());
        Ok(slot.await.map_err(|_| NoFreeConnection)??)
    }

    fn take_idle(&self) -> Option<http1::SendRequest<B>> {
        let now = Instant::now();
        let mut idle = self.idle();
        while let Some(Idle { sender, since }) = idle.pop() {
            if sender.is_ready() && now.saturating_duration_since(since) < self.idle_limit {
                return Some(sender);
            }
        }
        None
    }

    async fn dial(&self) -> Result<http1::SendRequest<B>, BoxError> {
        match self.dialer.clone().dial().await {
            Ok(connected) => Ok(self.drive(connected)),
            Err(error) => {
                // The first failure is the cause; later ones only repeat it.
                let _ = self.failure.set(error.to_string().into());
                Err(error)
            }
        }
    }

    fn drive(&self, (sender, connection): Http1Parts<B>) -> http1::SendRequest<B> {
        let live = self.live.clone();
        live.fetch_add(1, Ordering::AcqRel);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "HTTP/1 connection to an endpoint ended");
            }
            live.fetch_sub(1, Ordering::AcqRel);
        });
        sender
    }

    fn keep(&self, sender: http1::SendRequest<B>) {
        self.idle().push(Idle {
            sender,
            since: Instant::now(),
        });
    }
}

impl<B> Shared<B> {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle<B>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends connections that nobody has used for `limit`, whether or not there is traffic.
async fn sweep<B>(shared: Weak<Shared<B>>, limit: Duration) {
    loop {
        tokio::time::sleep(limit / 2).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let now = Instant::now();
        shared.idle().retain(|idle| {
            !idle.sender.is_closed() && now.saturating_duration_since(idle.since) < limit
        });
    }
}

// === impl Lease ===

impl<B: RequestBody> Lease<B> {
    /// The response has ended: the connection may carry another request.
    pub(super) fn give_back(self) {
        let Self {
            mut sender,
            shared,
            slot,
        } = self;
        if sender.is_ready() {
            shared.keep(sender);
        } else if !sender.is_closed()
            && let Ok(runtime) = Handle::try_current()
        {
            // The request's body may still be on its way, or the connection's task a step behind.
            runtime.spawn(async move {
                if sender.ready().await.is_ok() {
                    shared.keep(sender);
                }
                drop(slot);
            });
        }
    }
}

// === impl Waiting ===

/// One request in the queue; leaves it when dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(pending: &'a AtomicUsize, limit: usize) -> Result<Self, TooManyPending> {
        if pending.fetch_add(1, Ordering::Relaxed) >= limit {
            pending.fetch_sub(1, Ordering::Relaxed);
            return Err(TooManyPending { limit });
        }
        Ok(Self(pending))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Abandoned ===

/// A request whose caller may leave: then the connection ends by our doing.
struct Abandoned<'a>(Option<&'a AtomicBool>);

impl Abandoned<'_> {
    fn not(mut self) {
        self.0 = None;
    }
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if let Some(worked) = self.0 {
            worked.store(true, Ordering::Relaxed);
        }
    }
}

// === Debug, Display, Error ===

impl<B> Clone for Pool<B> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<B> fmt::Debug for Pool<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("dialer", &self.shared.dialer)
            .field("live", &self.shared.live)
            .field("idle", &self.shared.idle().len())
            .finish_non_exhaustive()
    }
}

impl<B> fmt::Debug for Lease<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}

impl fmt::Display for NoFreeConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no connection became free in time: raise reconnect.max_connections")
    }
}

impl Error for NoFreeConnection {}

impl fmt::Display for TooManyPending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests wait for a connection already: raise reconnect.max_pending or max_connections",
            self.limit
        )
    }
}

impl Error for TooManyPending {}

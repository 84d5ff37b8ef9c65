//! Exclusive HTTP/1 connections to one endpoint: last in, first out, bounded in number and queue.

mod link;

use std::{
    fmt,
    future::{Future, poll_fn},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use http::{Request, Response, StatusCode, header};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use self::link::Link;
use super::{
    body::EndpointBody,
    connection::RequestBody,
    ended::{Ended, Unsent},
    handshake::{Dialer, Http1Parts},
    idle_limit::IdleLimits,
    queue::{NoFreeConnection, Queue},
};
use crate::{BoxError, config::ReconnectConfig};

/// The connections to one endpoint, behind one cheap handle.
///
/// A request takes a slot first, then an idle connection or a new one; so there are never more
/// connections than slots, and those who wait are served in order. The pool is over, and says so by
/// an error in `poll_ready`, as soon as a dial fails or its last connection has ended: then the
/// reconnecting layer above decides when to dial again, and no request meets a dead endpoint.
///
/// A connection that its server would close soon is not used again, as far as that is known.
pub struct Pool<B> {
    shared: Arc<Shared<B>>,
}

/// The right to one connection, kept until its response has ended.
///
/// A lease that is dropped instead of given back closes its connection.
pub struct Lease<B> {
    /// None after a connection that has ended.
    sender: Option<http1::SendRequest<B>>,
    link: Arc<Link>,
    /// How long the last response lets us keep it unused.
    told: Option<Duration>,
    shared: Arc<Shared<B>>,
    slot: OwnedSemaphorePermit,
}

struct Shared<B> {
    dialer: Dialer,
    slots: Arc<Semaphore>,
    queue: Queue,
    /// In the order in which they were given back. Held for a push or a pop only, by requests to
    /// this endpoint only.
    idle: Mutex<Vec<Idle<B>>>,
    idle_limit: Duration,
    learnt: Arc<IdleLimits>,
    max_age: Duration,
    live: Arc<AtomicUsize>,
    /// Whether a connection was of use, or was given up by a caller: then their end is no failure.
    worked: AtomicBool,
    failure: OnceLock<Arc<str>>,
}

struct Idle<B> {
    sender: http1::SendRequest<B>,
    /// Gone as soon as the connection has ended.
    link: Weak<Link>,
    /// How long our own setting, and what its server told us, let it stay.
    limit: Duration,
    since: Instant,
}

impl<B: RequestBody> Pool<B> {
    pub(super) fn new(
        dialer: Dialer,
        first: Http1Parts<B>,
        settings: &ReconnectConfig,
        learnt: Arc<IdleLimits>,
    ) -> Self {
        let shared = Arc::new(Shared {
            dialer,
            slots: Arc::new(Semaphore::new(
                settings.max_connections.min(Semaphore::MAX_PERMITS),
            )),
            queue: Queue::new(settings.max_pending),
            idle: Mutex::new(Vec::new()),
            idle_limit: settings.idle,
            learnt,
            max_age: settings.max_age,
            live: Arc::default(),
            worked: AtomicBool::new(false),
            failure: OnceLock::new(),
        });
        let (sender, link) = shared.drive(first);
        shared.keep(sender, &link, None);
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
        let asks_for_upgrade = request.headers().contains_key(header::UPGRADE);
        loop {
            let (sender, link, reused) = match self.shared.take_idle() {
                Some((sender, link)) => (sender, link, true),
                None => match self.shared.dial().await {
                    Ok((sender, link)) => (sender, link, false),
                    Err(error) => return Err(Unsent::new(request, error).into()),
                },
            };
            let abandoned = Abandoned(Some(&self.shared.worked));
            let (sent, sender) = exchange(sender, request).await;
            abandoned.not();
            match sent {
                Ok(response) => {
                    self.shared.worked.store(true, Ordering::Relaxed);
                    let lease = Lease {
                        sender,
                        link,
                        told: self.shared.learnt.hear(response.headers()),
                        shared: self.shared,
                        slot,
                    };
                    return lease.answer(response, asks_for_upgrade);
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
        let _waiting = self.queue.enter()?;
        let slot = timeout(self.dialer.timeout(), self.slots.clone().acquire_owned());
        Ok(slot.await.map_err(|_| NoFreeConnection)??)
    }

    fn take_idle(&self) -> Option<(http1::SendRequest<B>, Arc<Link>)> {
        let now = Instant::now();
        let learnt = self.learnt.limit();
        let mut idle = self.idle();
        while let Some(next) = idle.pop() {
            let Some(link) = next.link.upgrade().filter(|_| next.sender.is_ready()) else {
                continue;
            };
            let unused = now.saturating_duration_since(next.since);
            if unused >= learnt {
                // Left to its server, which shows so whether what was learnt still holds. Those
                // below it are older.
                idle.push(next);
                return None;
            }
            link.used();
            if next.may_stay(now) && !link.is_old(now) {
                return Some((next.sender, link));
            }
        }
        None
    }

    async fn dial(&self) -> Result<(http1::SendRequest<B>, Arc<Link>), BoxError> {
        self.make_room();
        match self.dialer.clone().dial_http1().await {
            Ok(connected) => Ok(self.drive(connected)),
            Err(error) => {
                // The first failure is the cause; later ones only repeat it.
                let _ = self.failure.set(error.to_string().into());
                Err(error)
            }
        }
    }

    /// Those that are not used any more count against `max_connections` as well.
    fn make_room(&self) {
        let mut idle = self.idle();
        let surplus = idle.len().saturating_sub(self.slots.available_permits());
        for oldest in idle.drain(..surplus) {
            oldest.give_up();
        }
    }

    fn drive(&self, (sender, connection): Http1Parts<B>) -> (http1::SendRequest<B>, Arc<Link>) {
        let link = Arc::new(Link::new(self.live.clone(), self.max_age));
        let (ours, learnt) = (link.clone(), self.learnt.clone());
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "HTTP/1 connection to an endpoint ended");
            }
            let now = Instant::now();
            if let Some(unused) = ours.unused_for(now) {
                learnt.closed(unused, now);
            }
        });
        (sender, link)
    }

    fn keep(&self, sender: http1::SendRequest<B>, link: &Arc<Link>, told: Option<Duration>) {
        let now = Instant::now();
        if link.is_old(now) {
            return;
        }
        link.unused_since(now);
        let told = told.unwrap_or_else(|| self.learnt.untold());
        self.idle().push(Idle {
            sender,
            link: Arc::downgrade(link),
            limit: told.min(self.idle_limit),
            since: now,
        });
    }
}

impl<B> Shared<B> {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle<B>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Idle<B> {
    fn may_stay(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < self.limit
    }

    fn is_old(&self, now: Instant) -> bool {
        self.link.upgrade().is_none_or(|link| link.is_old(now))
    }

    /// Its end is our doing, and says nothing about its server.
    fn give_up(self) {
        if let Some(link) = self.link.upgrade() {
            link.used();
        }
    }
}

/// Sends a request, and keeps the connection only as long as it lives.
///
/// A request that is handed over at the moment when its connection ends may be stuck between the
/// two: it comes back when the sender is gone.
async fn exchange<B: RequestBody>(
    mut sender: http1::SendRequest<B>,
    request: Request<B>,
) -> (Sent<B>, Option<http1::SendRequest<B>>) {
    let mut sent = std::pin::pin!(sender.try_send_request(request));
    let mut sender = Some(sender);
    let sent = poll_fn(|cx| {
        let polled = sent.as_mut().poll(cx);
        let ended = match &mut sender {
            Some(sender) if polled.is_pending() => sender.poll_ready(cx),
            _ => return polled,
        };
        if let Poll::Ready(Err(_)) = ended {
            sender = None;
            return sent.as_mut().poll(cx);
        }
        polled
    });
    let sent = sent.await;
    (sent, sender)
}

type Sent<B> = Result<Response<Incoming>, TrySendError<Request<B>>>;

/// Ends connections that nobody has used for `limit`, whether or not there is traffic.
async fn sweep<B>(shared: Weak<Shared<B>>, limit: Duration) {
    loop {
        tokio::time::sleep(limit / 2).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let now = Instant::now();
        let mut idle = shared.idle();
        idle.retain(|idle| !idle.sender.is_closed());
        let (stay, go): (Vec<_>, Vec<_>) = idle
            .drain(..)
            .partition(|idle| idle.may_stay(now) && !idle.is_old(now));
        *idle = stay;
        let oldest = idle.first().map(|oldest| oldest.since);
        drop(idle);
        go.into_iter().for_each(Idle::give_up);
        shared.learnt.open(
            oldest.map(|since| now.saturating_duration_since(since)),
            now,
        );
    }
}

// === impl Lease ===

impl<B: RequestBody> Lease<B> {
    fn answer(
        self,
        response: Response<Incoming>,
        asked_for_upgrade: bool,
    ) -> Result<Response<EndpointBody<B>>, BoxError> {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response.map(|body| EndpointBody::leased(body, self)));
        }
        if !asked_for_upgrade {
            return Err("the endpoint switched to a protocol that nobody asked for".into());
        }
        Ok(response.map(|body| EndpointBody::tunnel(body, self)))
    }

    /// The response has ended: the connection may carry another request.
    pub(super) fn give_back(self) {
        let Self {
            sender: Some(mut sender),
            link,
            told,
            shared,
            slot,
        } = self
        else {
            return;
        };
        if sender.is_ready() {
            shared.keep(sender, &link, told);
        } else if !sender.is_closed()
            && let Ok(runtime) = Handle::try_current()
        {
            // The request's body may still be on its way, or the connection's task a step behind.
            runtime.spawn(async move {
                if sender.ready().await.is_ok() {
                    shared.keep(sender, &link, told);
                }
                drop(slot);
            });
        }
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

// === Clone, Debug ===

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

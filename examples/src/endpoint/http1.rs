//! Exclusive HTTP/1 connections to one endpoint: last in, first out, bounded in number and queue.

mod idle;
mod lease;
mod link;

use std::{
    fmt,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use http::{Request, Response, header};
use hyper::client::conn::http1;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

pub use self::lease::Lease;
use self::{idle::IdleList, lease::exchange, link::Link};
use super::{
    body::EndpointBody,
    connection::RequestBody,
    ended::{Ended, Unsent},
    handshake::{Dialer, Http1Parts},
    idle_limit::IdleLimits,
    met::note_met,
    queue::{NoFreeConnection, Queue},
    timeout::note_sent,
    upkeep::Upkeep,
};
use crate::{BoxError, config::ReconnectConfig, http::body::BodyFate};

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

struct Shared<B> {
    dialer: Dialer,
    slots: Arc<Semaphore>,
    queue: Queue,
    idle: IdleList<B>,
    learnt: Arc<IdleLimits>,
    max_age: Duration,
    live: Arc<AtomicUsize>,
    /// Whether a connection was of use, or was given up by a caller: then their end is no failure.
    worked: AtomicBool,
    failure: OnceLock<Arc<str>>,
    sweeping: OnceLock<Upkeep>,
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
            idle: IdleList::new(settings.idle, learnt.clone()),
            learnt,
            max_age: settings.max_age,
            live: Arc::default(),
            worked: AtomicBool::new(false),
            failure: OnceLock::new(),
            sweeping: OnceLock::new(),
        });
        let (sender, link) = shared.drive(first);
        shared.idle.keep(sender, &link, None);
        let sweeping = sweep(Arc::downgrade(&shared), settings.idle);
        let _ = shared.sweeping.set(Upkeep::spawn(sweeping));
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
        fate: Option<BodyFate>,
    ) -> Result<Response<EndpointBody<B>>, BoxError> {
        let slot = self.shared.slot().await?;
        let asked = request.headers().get(header::UPGRADE).cloned();
        loop {
            let (sender, link, unused) = match self.shared.idle.take() {
                Some((sender, link, unused)) => (sender, link, Some(unused)),
                None => match self.shared.dial().await {
                    Ok((sender, link)) => (sender, link, None),
                    Err(error) => {
                        let ended = Ended::new(false, error);
                        return Err(Unsent::new(request, ended).into());
                    }
                },
            };
            let abandoned = Abandoned(Some(&self.shared.worked));
            note_sent(&request);
            note_met(&request, link.peer());
            let (sent, sender) = exchange(sender, request).await;
            let by_client = fate.as_ref().is_some_and(|fate| fate.failure().is_some());
            match by_client {
                true => drop(abandoned),
                false => abandoned.not(),
            }
            match sent {
                Ok(response) => {
                    self.shared.worked.store(true, Ordering::Relaxed);
                    let lease = Lease {
                        sender,
                        link,
                        told: self.shared.learnt.hear(response.headers()),
                        fate,
                        is_taken: response.status().is_success(),
                        shared: self.shared,
                        slot,
                    };
                    return lease.answer(response, asked.as_ref());
                }
                Err(mut error) => match (error.take_message(), unused) {
                    // The server closed an idle connection as we took it: nothing was sent.
                    (Some(unsent), Some(_)) => request = unsent,
                    (_, unused) => {
                        // Perhaps the two crossed, and then the next two need not.
                        if let Some(unused) = unused.filter(|_| !error.error().is_user()) {
                            self.shared.learnt.closed(unused, Instant::now());
                        }
                        return Err(error.into_error().into());
                    }
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

    async fn dial(&self) -> Result<(http1::SendRequest<B>, Arc<Link>), BoxError> {
        // Those that are left to their server count against `max_connections` as well.
        self.idle.shrink_to(self.slots.available_permits());
        match self.dialer.clone().dial_http1().await {
            Ok(connected) => Ok(self.drive(connected)),
            Err(error) => {
                // The first failure is the cause; later ones only repeat it.
                let _ = self.failure.set(error.to_string().into());
                Err(error)
            }
        }
    }

    fn drive(
        &self,
        (sender, connection, peer): Http1Parts<B>,
    ) -> (http1::SendRequest<B>, Arc<Link>) {
        let link = Arc::new(Link::new(self.live.clone(), self.max_age, peer));
        let (ours, learnt) = (link.clone(), self.learnt.clone());
        let driving = tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "HTTP/1 connection to an endpoint ended");
            }
            let now = Instant::now();
            if let Some(unused) = ours.unused_for(now) {
                learnt.closed(unused, now);
            }
        });
        link.driven_by(driving.abort_handle());
        (sender, link)
    }
}

/// Ends connections that nobody has used for `limit`, whether or not there is traffic.
async fn sweep<B: RequestBody>(shared: Weak<Shared<B>>, limit: Duration) {
    loop {
        tokio::time::sleep(limit / 2).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        shared.idle.sweep();
    }
}

// === impl Abandoned ===

/// A request whose caller may leave, or spoil it: then the connection ends by our doing.
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
            .finish_non_exhaustive()
    }
}

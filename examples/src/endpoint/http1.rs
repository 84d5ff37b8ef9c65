//! Exclusive HTTP/1 connections to one endpoint: last in, first out, bounded in number and queue.

mod idle;
mod lease;
mod link;
mod pooled;
mod revival;

use std::{
    fmt,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::future::{Either, select};
use http::{Request, Response, header};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, futures::OwnedNotified},
    time::{Instant, timeout},
};
use tower_reconnect::{Watch, error::InvalidSetting};

pub use self::lease::Lease;
use self::{
    idle::IdleList,
    lease::exchange,
    link::Lives,
    pooled::{Driver, Made, Pooled},
    revival::Revival,
};
use super::{
    body::EndpointBody,
    connection::{RequestBody, Sending, answer},
    dials::{Dials, Gate},
    ended::{Ended, Unsent},
    handshake::{Dialer, Http1Parts},
    idle_limit::IdleLimits,
    queue::{NoFreeConnection, Queue},
    timeout::note_sent,
    upkeep::Upkeep,
};
use crate::{
    BoxError,
    http::{body::BodyFate, forward::for_http1},
};

/// The connections to one endpoint, behind one cheap handle.
///
/// A request takes a slot first, then an idle connection or a new one; so there are never more
/// connections than slots, and those who wait are served in order. It is dialled by the exclusive
/// shape of `tower-reconnect`, whose gate all share. The pool is not ready while there is no
/// connection, and while dials fail and none is idle: so no request meets a dead endpoint. A
/// request whose dial fails comes back unsent.
///
/// A connection that its server would close soon is not used again, as far as that is known.
pub struct Pool<B> {
    shared: Arc<Shared<B>>,
    /// While it is not ready.
    waiting: Option<Pin<Box<OwnedNotified>>>,
}

struct Shared<B> {
    dials: Dials<Made<B>>,
    slots: Arc<Semaphore>,
    queue: Queue,
    idle: IdleList<B>,
    learnt: Arc<IdleLimits>,
    lives: Arc<Lives>,
    patience: Duration,
    /// Makes connections again; absent where the pool itself is a connection that is made again.
    revival: Option<Revival>,
    _sweeping: Upkeep,
}

impl<B: RequestBody> Pool<B> {
    /// Makes its connections by itself.
    pub(super) fn new(dialer: Dialer) -> Result<Self, InvalidSetting> {
        let shared = Shared::new(
            dialer,
            Arc::new(IdleLimits::new()),
            Some(Revival::default()),
        )?;
        Ok(Self::over(shared.0))
    }

    /// With its first connection. It is over, and says so by an error in `poll_ready`, when a dial
    /// fails or its last connection has ended.
    pub(super) fn with(
        first: Http1Parts<B>,
        dialer: Dialer,
        learnt: Arc<IdleLimits>,
    ) -> Result<Self, InvalidSetting> {
        let (shared, driver) = Shared::new(dialer, learnt, None)?;
        if let Some(first) = driver.drive(first).used_by(None) {
            shared.idle.keep(first, None);
        }
        Ok(Self::over(shared))
    }

    fn over(shared: Arc<Shared<B>>) -> Self {
        let waiting = None;
        Self { shared, waiting }
    }

    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.shared.is_up() {
            self.waiting = None;
            return Poll::Ready(Ok(()));
        }
        self.poll_down(cx)
    }

    pub(super) fn call(&self, mut request: Request<B>) -> Sending<B> {
        let fate = request.extensions().get::<BodyFate>().cloned();
        for_http1(&mut request);
        let shared = self.shared.clone();
        Box::pin(async move { answer(shared.send(request, fate.clone()).await, fate) })
    }

    /// Waits for a connection, where nobody else makes one.
    fn poll_down(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let shared = &self.shared;
        shared.idle.bury(&shared.lives);
        let Some(revival) = &shared.revival else {
            return Poll::Ready(Err(shared.over().into()));
        };
        loop {
            let revived = self.waiting.get_or_insert_with(|| revival.revived());
            // Before the look, so that nothing is missed after it.
            revived.as_mut().enable();
            // The queue is bounded, and the connections in use are not in question.
            let slot = shared.slots.clone().try_acquire_owned().ok();
            let Some(slot) = slot.filter(|_| !shared.is_up() && !shared.idle.any()) else {
                self.waiting = None;
                return Poll::Ready(Ok(()));
            };
            revival.begin(slot, || shared.dials.one());
            ready!(revived.as_mut().poll(cx));
            self.waiting = None;
        }
    }
}

impl<B> Pool<B> {
    /// Whether there is a connection, or nobody has asked for one since the last was not needed.
    pub(super) fn is_usable(&self) -> bool {
        let revives = self.shared.revival.as_ref();
        let is_asked_for = revives.is_none_or(Revival::is_under_way);
        self.shared.lives.any() || !is_asked_for && !self.shared.dials.gate().is_failing()
    }

    pub(super) fn watch(&self) -> Watch {
        self.shared.dials.watch()
    }
}

impl<B: RequestBody> Shared<B> {
    fn new(
        dialer: Dialer,
        learnt: Arc<IdleLimits>,
        revival: Option<Revival>,
    ) -> Result<(Arc<Self>, Driver), InvalidSetting> {
        let settings = dialer.settings;
        let (address, lives) = (dialer.address, Arc::new(Lives::default()));
        let gate = Gate::new(dialer.log.clone());
        let driver = Driver::new(
            lives.clone(),
            learnt.clone(),
            gate.clone(),
            settings.max_age,
        );
        let dials = dials(address, dialer, gate, driver.clone())?;
        let shared = Arc::new_cyclic(|shared| Self {
            dials,
            slots: Arc::new(Semaphore::new(
                settings.max_connections.min(Semaphore::MAX_PERMITS),
            )),
            queue: Queue::new(settings.max_pending),
            idle: IdleList::new(settings.idle, learnt.clone()),
            learnt,
            lives,
            patience: settings.connect_timeout,
            revival,
            _sweeping: Upkeep::spawn(sweep(shared.clone(), settings.idle)),
        });
        Ok((shared, driver))
    }

    /// Whether a request may hope for a connection.
    fn is_up(&self) -> bool {
        self.lives.any() && !self.dials.gate().is_failing()
    }

    fn over(&self) -> Ended {
        match self.dials.gate().is_failing() {
            true => Ended::new(false, self.dials.gate().why()),
            false => Ended::new(self.lives.have_worked(), "all connections have ended"),
        }
    }

    async fn send(
        self: Arc<Self>,
        mut request: Request<B>,
        fate: Option<BodyFate>,
    ) -> Result<Response<EndpointBody<B>>, BoxError> {
        let slot = self.slot().await?;
        let asked = request.headers().get(header::UPGRADE).cloned();
        loop {
            let (pooled, unused) = match self.connection().await {
                Ok(connection) => connection,
                Err(error) => return Err(Unsent::new(request, Ended::new(false, error)).into()),
            };
            let Pooled {
                sender,
                link,
                mut held,
            } = pooled;
            let abandoned = Abandoned(Some(&self.lives));
            note_sent(&request);
            let (sent, sender) = exchange(sender, request).await;
            let by_client = fate.as_ref().is_some_and(|fate| fate.failure().is_some());
            match by_client {
                true => drop(abandoned),
                false => abandoned.not(),
            }
            match sent {
                Ok(response) => {
                    self.lives.work();
                    self.dials.proven(link.round);
                    let lease = Lease {
                        sender,
                        link,
                        held,
                        told: self.learnt.hear(response.headers()),
                        fate,
                        is_taken: response.status().is_success(),
                        shared: self,
                        slot,
                    };
                    return lease.answer(response, asked.as_ref());
                }
                Err(mut error) => {
                    let unsent = error.take_message();
                    // What its client spoils says nothing of the connection.
                    let is_ours = by_client || error.error().is_user();
                    if let Some(held) = held.as_mut().filter(|_| !is_ours) {
                        held.report_lost(Ended::new(self.lives.have_worked(), error.error()));
                    }
                    match (unsent, unused) {
                        // The server closed an idle connection as we took it: nothing was sent.
                        (Some(unsent), Some(_)) => request = unsent,
                        (_, unused) => {
                            // Perhaps the two crossed, and then the next two need not.
                            if let Some(unused) = unused.filter(|_| !error.error().is_user()) {
                                self.learnt.closed(unused, Instant::now());
                            }
                            return Err(error.into_error().into());
                        }
                    }
                }
            }
        }
    }

    /// Takes a connection back, with what its last response told.
    fn keep(&self, pooled: Pooled<B>, told: Option<Duration>) {
        self.idle.keep(pooled, told);
        // While dials fail this one is all that there is.
        if self.dials.gate().is_failing()
            && let Some(revival) = &self.revival
        {
            revival.look_again();
        }
    }

    async fn slot(&self) -> Result<OwnedSemaphorePermit, BoxError> {
        if let Ok(slot) = self.slots.clone().try_acquire_owned() {
            return Ok(slot);
        }
        let _waiting = self.queue.enter()?;
        let slot = timeout(self.patience, self.slots.clone().acquire_owned());
        Ok(slot.await.map_err(|_| NoFreeConnection)??)
    }

    /// The one that was used last, or a new one; and for how long nobody has used it, if that is
    /// worth a word.
    async fn connection(&self) -> Result<(Pooled<B>, Option<Duration>), BoxError> {
        loop {
            if let Some((pooled, unused)) = self.idle.take(&self.lives) {
                return Ok((pooled, Some(unused)));
            }
            // Those that are left to their server count against `max_connections` as well.
            self.idle.shrink_to(self.slots.available_permits());
            let Some((made, held)) = self.dialled().await? else {
                continue;
            };
            let Some(pooled) = made.used_by(Some(held)) else {
                continue;
            };
            let unused = pooled.link.unused_for(Instant::now()).unwrap_or_default();
            pooled.link.used();
            // Nobody wanted it when it was made.
            if unused > JUST_MADE && unused >= self.idle.limit_of_unused() {
                continue;
            }
            return Ok((pooled, (unused > JUST_MADE).then_some(unused)));
        }
    }

    /// A new connection; none if another has become free before.
    async fn dialled(&self) -> Result<Option<NewConnection<B>>, BoxError> {
        let freed = self.idle.wait();
        match select(pin!(self.dials.connect()), pin!(freed)).await {
            Either::Left((connected, _)) => connected.map(Some),
            Either::Right(((), _)) => Ok(None),
        }
    }
}

type NewConnection<B> = (Made<B>, super::dials::Held<Made<B>>);

fn dials<B: RequestBody>(
    address: SocketAddr,
    dialer: Dialer,
    gate: Arc<Gate>,
    driver: Driver,
) -> Result<Dials<Made<B>>, InvalidSetting> {
    let settings = dialer.settings;
    Dials::new(address, &settings, gate, move || {
        let (dialled, driver) = (dialer.http1(), driver.clone());
        async move { Ok(driver.drive(dialled.await?)) }
    })
}

/// Ends connections that nobody has used for `limit`, whether or not there is traffic.
async fn sweep<B: RequestBody>(shared: Weak<Shared<B>>, limit: Duration) {
    loop {
        tokio::time::sleep(limit / 2).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        shared.idle.sweep(&shared.lives);
    }
}

// === impl Abandoned ===

/// A request whose caller may leave, or spoil it: then the connection ends by our doing.
struct Abandoned<'a>(Option<&'a Lives>);

impl Abandoned<'_> {
    fn not(mut self) {
        self.0 = None;
    }
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if let Some(lives) = self.0 {
            lives.work();
        }
    }
}

// === Clone, Debug ===

impl<B> Clone for Pool<B> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            waiting: None,
        }
    }
}

impl<B> fmt::Debug for Pool<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("dials", &self.shared.dials)
            .field("lives", &self.shared.lives)
            .finish_non_exhaustive()
    }
}

/// What is no older was made for whoever gets it.
const JUST_MADE: Duration = Duration::from_millis(50);

//! What all handles of a pool share, and the way of a request through it.

use std::{
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use futures::future::{Either, select};
use http::{Request, Response, header};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use tower_reconnect::error::InvalidSetting;

use super::{
    idle::IdleList,
    lease::{Lease, exchange},
    link::Lives,
    pooled::{Driver, Made, Pooled},
    revival::Revival,
};
use crate::{
    BoxError,
    config::ReconnectConfig,
    endpoint::{
        body::EndpointBody,
        connection::RequestBody,
        dials::{Dials, Gate, Held},
        ended::{Ended, Unsent},
        handshake::Dialer,
        idle_limit::IdleLimits,
        met::note_met,
        queue::{NoFreeConnection, Queue},
        timeout::note_sent,
        upkeep::Upkeep,
    },
    http::body::BodyFate,
};

pub(super) struct Shared<B> {
    pub(super) dials: Dials<Made<B>>,
    pub(super) slots: Arc<Semaphore>,
    queue: Queue,
    pub(super) idle: IdleList<B>,
    learnt: Arc<IdleLimits>,
    pub(super) lives: Arc<Lives>,
    patience: Duration,
    /// Makes connections again; absent where the pool itself is a connection that is made again.
    pub(super) revival: Option<Revival>,
    _sweeping: Upkeep,
}

impl<B: RequestBody> Shared<B> {
    pub(super) fn new(
        dialer: Dialer,
        learnt: Arc<IdleLimits>,
        revival: Option<Revival>,
    ) -> Result<(Arc<Self>, Driver), InvalidSetting> {
        let settings = match revival {
            Some(_) => dialer.settings,
            None => dialer.settings.for_further(),
        };
        let lives = Arc::new(Lives::default());
        let gate = Gate::new(dialer.log.clone());
        let driver = Driver::new(
            lives.clone(),
            learnt.clone(),
            gate.clone(),
            settings.max_age,
        );
        let dials = dials(&settings, dialer, gate, driver.clone())?;
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
    pub(super) fn is_up(&self) -> bool {
        self.lives.any() && !self.dials.gate().is_failing()
    }

    pub(super) fn over(&self) -> Ended {
        match self.dials.gate().is_failing() {
            true => Ended::new(false, self.dials.gate().why()),
            false => Ended::new(self.lives.have_worked(), "all connections have ended"),
        }
    }

    pub(super) async fn send(
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
            note_met(&request, link.peer());
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
    pub(super) fn keep(&self, pooled: Pooled<B>, told: Option<Duration>) {
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

type NewConnection<B> = (Made<B>, Held<Made<B>>);

fn dials<B: RequestBody>(
    settings: &ReconnectConfig,
    dialer: Dialer,
    gate: Arc<Gate>,
    driver: Driver,
) -> Result<Dials<Made<B>>, InvalidSetting> {
    Dials::new(dialer.address, settings, gate, move || {
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

/// What is no older was made for whoever gets it.
const JUST_MADE: Duration = Duration::from_millis(50);

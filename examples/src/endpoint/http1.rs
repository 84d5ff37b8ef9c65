//! Exclusive HTTP/1 connections to one endpoint: last in, first out, bounded in number and queue.

mod idle;
mod lease;
mod link;
mod pooled;
mod revival;
mod shared;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::Request;
use tokio::sync::futures::OwnedNotified;
use tower_reconnect::{Watch, error::InvalidSetting};

pub use self::lease::Lease;
use self::{revival::Revival, shared::Shared};
use super::{
    connection::{RequestBody, Sending, answer},
    handshake::{Dialer, Http1Parts},
    idle_limit::IdleLimits,
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

//! How one request finds an endpoint that is ready.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use tokio::{task::coop, time::Instant};
use tower_service::Service;

use crate::{
    BoxError, claim::Claim, common::Name, endpoint::Endpoint, error::NoEndpoint, load::Load,
    pool::Pool, waiting::Waiting,
};

/// An endpoint's service that was polled for the request, and is ready.
pub(crate) struct Ready<K, S> {
    pub(crate) load: Arc<Load<K>>,
    pub(crate) service: S,
    /// When it was looked at.
    pub(crate) at: u64,
    /// Where the request is a probe.
    pub(crate) claim: Option<Claim>,
}

/// An endpoint and the clone of its service that was polled for the request.
struct Held<K, S> {
    endpoint: Arc<Endpoint<K, S>>,
    service: S,
}

pub(crate) struct Search<K, S> {
    started: Option<Instant>,
    /// A candidate that was not ready. It keeps its place in its endpoint's queue while others are
    /// looked at, and it makes the request independent of the driver.
    held: Option<Held<K, S>>,
    waiting: Option<Pin<Box<Waiting>>>,
    /// The last readiness error.
    error: Option<BoxError>,
    undriven_picks: u8,
}

/// What came of one look at a candidate.
enum Look {
    Ready,
    NotReady {
        /// The service will wake the request when it is.
        waits: bool,
    },
    /// The task has used up its budget: nothing can be said before its next poll.
    Unknown,
}

/// What came of one pick.
enum Tried<K, S> {
    Ready(Ready<K, S>),
    NotReady,
    Unknown,
    /// There was nothing to pick.
    Nothing,
}

impl<K, S> Search<K, S> {
    pub(crate) fn new() -> Self {
        Self {
            started: None,
            held: None,
            waiting: None,
            error: None,
            undriven_picks: MOST_UNDRIVEN_PICKS,
        }
    }

    pub(crate) fn poll<Req, C, T, A>(
        &mut self,
        pool: &Pool<K, S, C, T, A>,
        avoids: impl Fn(&K) -> bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Ready<K, S>, NoEndpoint>>
    where
        K: Name + 'static,
        S: Service<Req> + Clone,
        S::Error: Into<BoxError>,
    {
        let now = Instant::now();
        let is_first = self.started.is_none();
        let started = *self.started.get_or_insert(now);
        let nanos = pool.shared.common.clock.nanos(now);
        for turn in 0..=MOST_PICKS_IN_A_POLL {
            // There may be more to pick, so do not wait. The last turn is for the one that is held
            // and for the bound, which picks must not outlive however many there are.
            let mut more = turn == MOST_PICKS_IN_A_POLL;
            if !more {
                match self.try_pick(pool, &avoids, nanos, cx) {
                    Tried::Ready(ready) => return Poll::Ready(Ok(ready)),
                    Tried::Unknown => more = true,
                    Tried::NotReady => {
                        pool.counters.repicks.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    Tried::Nothing => {}
                }
            }
            if let Some(ready) = self.try_held(pool, nanos, cx) {
                return Poll::Ready(Ok(ready));
            }

            let waited = now.saturating_duration_since(started);
            // Without a wait there is one more poll for what the first could not look at.
            if waited >= pool.wait && !(more && is_first) {
                let counts = pool.shared.counts();
                let error = NoEndpoint::new(counts, waited, self.error.take());
                return Poll::Ready(Err(error));
            }
            if more {
                break;
            }
            let Some(waiting) = &mut self.waiting else {
                pool.counters.waits.fetch_add(1, Ordering::Relaxed);
                // From here on no change is missed, so look once more before waiting.
                self.waiting = Some(Box::pin(Waiting::new(&pool.shared, started, pool.wait)));
                continue;
            };
            let may_pick = pool.shared.is_driven() || self.undriven_picks > 0;
            if waiting
                .as_mut()
                .poll(&pool.shared, may_pick, cx)
                .is_pending()
            {
                return Poll::Pending;
            }
            if self.undriven_picks == 0 {
                self.undriven_picks = MOST_UNDRIVEN_PICKS;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn try_pick<Req, C, T, A>(
        &mut self,
        pool: &Pool<K, S, C, T, A>,
        avoids: &impl Fn(&K) -> bool,
        now: u64,
        cx: &mut Context<'_>,
    ) -> Tried<K, S>
    where
        K: Name + 'static,
        S: Service<Req> + Clone,
        S::Error: Into<BoxError>,
    {
        let is_driven = pool.shared.is_driven();
        if !is_driven && self.undriven_picks == 0 {
            return Tried::Nothing;
        }
        let held = self.held.as_ref().map(|held| &held.endpoint);
        let held = held.filter(|_| !is_driven);
        let Some(pick) = pool.pick(now, is_driven, held, avoids) else {
            return Tried::Nothing;
        };
        self.undriven_picks -= u8::from(!is_driven);
        let endpoint = pick.endpoint();
        let claim = pick.is_probe.then(|| Claim::new(&endpoint.load, now));
        let mut service = endpoint.service.clone();
        match self.look_at(endpoint, &mut service, pool, cx) {
            Look::Ready => Tried::Ready(Ready {
                load: Arc::clone(&pick.entry().load),
                service,
                at: now,
                claim,
            }),
            look => {
                let waits = matches!(look, Look::Unknown | Look::NotReady { waits: true });
                if waits && self.held.is_none() {
                    self.held = Some(Held {
                        endpoint: Arc::clone(endpoint),
                        service,
                    });
                }
                if matches!(look, Look::Unknown) {
                    Tried::Unknown
                } else {
                    Tried::NotReady
                }
            }
        }
    }

    /// Asks the one that is held again.
    fn try_held<Req, C, T, A>(
        &mut self,
        pool: &Pool<K, S, C, T, A>,
        now: u64,
        cx: &mut Context<'_>,
    ) -> Option<Ready<K, S>>
    where
        K: Name + 'static,
        S: Service<Req>,
        S::Error: Into<BoxError>,
    {
        let mut held = self.held.take()?;
        let common = &pool.shared.common;
        if !held.endpoint.load.may_serve(now) && !common.register.is_panicking() {
            return None;
        }
        match self.look_at(&held.endpoint, &mut held.service, pool, cx) {
            Look::Ready => Some(Ready {
                load: Arc::clone(&held.endpoint.load),
                service: held.service,
                at: now,
                claim: None,
            }),
            look => {
                if matches!(look, Look::Unknown | Look::NotReady { waits: true }) {
                    self.held = Some(held);
                }
                None
            }
        }
    }

    fn look_at<Req, C, T, A>(
        &mut self,
        endpoint: &Arc<Endpoint<K, S>>,
        service: &mut S,
        pool: &Pool<K, S, C, T, A>,
        cx: &mut Context<'_>,
    ) -> Look
    where
        K: Name + 'static,
        S: Service<Req>,
        S::Error: Into<BoxError>,
    {
        if endpoint.is_removed() {
            return Look::NotReady { waits: false };
        }
        match service.poll_ready(cx) {
            // It may have been removed meanwhile.
            Poll::Ready(Ok(())) if endpoint.is_removed() => Look::NotReady { waits: false },
            Poll::Ready(Ok(())) => {
                pool.found_ready(endpoint);
                Look::Ready
            }
            Poll::Ready(Err(error)) => {
                let error = error.into();
                pool.failed(endpoint, &error);
                self.error = Some(error);
                Look::NotReady { waits: false }
            }
            Poll::Pending if coop::has_budget_remaining() => {
                pool.not_ready(endpoint);
                Look::NotReady { waits: true }
            }
            Poll::Pending => Look::Unknown,
        }
    }
}

/// So that a request that finds many endpoints not ready lets others run in between.
const MOST_PICKS_IN_A_POLL: usize = 16;
/// Without a driver nothing marks an endpoint as not ready, so that a request may meet the same
/// ones again.
const MOST_UNDRIVEN_PICKS: u8 = 8;

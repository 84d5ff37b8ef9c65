//! What a request does when its first look has brought nothing.

use std::{
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll},
};

use tokio::time::Instant;
use tower_service::Service;

use super::{Held, Look, Missed, Ready, Tried, look_at, try_pick};
use crate::{BoxError, common::Name, error::NoEndpoint, pool::Pool, waiting::Waiting};

pub(super) struct Longer<K, S> {
    started: Instant,
    is_first_poll: bool,
    /// A candidate that was not ready. It keeps its place in its endpoint's queue while others are
    /// looked at, and it makes the request independent of the driver.
    held: Option<Held<K, S>>,
    waiting: Option<Pin<Box<Waiting>>>,
    /// The last readiness error.
    error: Option<BoxError>,
    undriven_picks: u8,
    /// Whether it may be what an endpoint is owed: it tries one of them, and has others to look at.
    free: bool,
}

impl<K, S> Longer<K, S> {
    pub(super) fn new(started: Instant) -> Self {
        Self {
            started,
            is_first_poll: true,
            held: None,
            waiting: None,
            error: None,
            undriven_picks: MOST_UNDRIVEN_PICKS,
            free: true,
        }
    }

    /// Goes on from what was `tried` already.
    pub(super) fn poll<Req, C, T, A>(
        &mut self,
        mut tried: Option<Tried<K, S>>,
        pool: &Pool<K, S, C, T, A>,
        avoids: &impl Fn(&K) -> bool,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Ready<K, S>, NoEndpoint>>
    where
        K: Name + 'static,
        S: Service<Req> + Clone,
        S::Error: Into<BoxError>,
    {
        let nanos = pool.shared.common.clock.nanos(now);
        let is_first_poll = std::mem::take(&mut self.is_first_poll);
        for turn in 0..=MOST_PICKS_IN_A_POLL {
            // There may be more to pick, so do not wait. The last turn is for the one that is held
            // and for the bound, which picks must not outlive however many there are.
            let mut more = turn == MOST_PICKS_IN_A_POLL;
            if !more {
                let tried = tried.take();
                match tried.unwrap_or_else(|| self.try_pick(pool, avoids, nanos, cx)) {
                    Tried::Ready(ready) => return Poll::Ready(Ok(ready)),
                    Tried::Missed(missed) => {
                        if self.keeps(missed, pool) {
                            continue;
                        }
                        more = true;
                    }
                    Tried::Nothing => {}
                }
            }
            if let Some(ready) = self.try_held(pool, nanos, cx) {
                return Poll::Ready(Ok(ready));
            }

            let waited = now.saturating_duration_since(self.started);
            // Without a wait there is one more poll for what the first could not look at.
            if waited >= pool.wait && !(more && is_first_poll) {
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
                self.waiting = Some(Box::pin(Waiting::new(
                    &pool.shared,
                    self.started,
                    pool.wait,
                )));
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
        &self,
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
        if self.undriven_picks == 0 && !pool.shared.is_driven() {
            return Tried::Nothing;
        }
        let held = self.held.as_ref().map(|held| &held.endpoint);
        try_pick(held, self.free, pool, avoids, now, cx)
    }

    /// False if this poll can say no more.
    fn keeps<C, T, A>(&mut self, missed: Missed<K, S>, pool: &Pool<K, S, C, T, A>) -> bool {
        let Missed {
            held,
            error,
            is_known,
            was_owed,
        } = missed;
        self.free &= !was_owed;
        if !pool.shared.is_driven() {
            self.undriven_picks = self.undriven_picks.saturating_sub(1);
        }
        if self.held.is_none() {
            self.held = held;
        }
        if error.is_some() {
            self.error = error;
        }
        if is_known {
            pool.counters.repicks.fetch_add(1, Ordering::Relaxed);
        }
        is_known
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
        match look_at(&held.endpoint, &mut held.service, pool, cx) {
            Look::Ready => {
                return Some(Ready {
                    load: held.endpoint.load.clone(),
                    service: held.service,
                    at: now,
                    claim: None,
                });
            }
            Look::NotReady { waits, error } => {
                self.held = waits.then_some(held);
                if error.is_some() {
                    self.error = error;
                }
            }
            Look::Unknown => self.held = Some(held),
        }
        None
    }
}

/// So that a request that finds many endpoints not ready lets others run in between.
const MOST_PICKS_IN_A_POLL: usize = 16;
/// Without a driver nothing marks an endpoint as not ready, so that a request may meet the same
/// ones again.
const MOST_UNDRIVEN_PICKS: u8 = 8;

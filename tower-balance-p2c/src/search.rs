//! How one request finds an endpoint that is ready.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::{
    sync::futures::OwnedNotified,
    task::coop,
    time::{Instant, Sleep, sleep_until},
};
use tower_service::Service;

use crate::{
    BoxError,
    endpoint::Endpoint,
    error::NoEndpoint,
    pool::{Pool, Shared},
};

/// An endpoint and the clone of its service that was polled for the request.
pub(crate) struct Candidate<K, S> {
    pub(crate) endpoint: Arc<Endpoint<K, S>>,
    pub(crate) service: S,
    /// When it was last looked at.
    pub(crate) at: u64,
}

pub(crate) struct Search<K, S> {
    started: Option<Instant>,
    /// A candidate that was not ready. It keeps its place in its endpoint's queue while others are
    /// looked at, and it makes the request independent of the driver.
    held: Option<Candidate<K, S>>,
    waiting: Option<Pin<Box<Waiting>>>,
    /// The last readiness error.
    error: Option<BoxError>,
    undriven_picks: u8,
}

/// What came of one look at a candidate.
enum Look<K, S> {
    Ready(Candidate<K, S>),
    NotReady,
    /// The task has used up its budget: nothing can be said before its next poll.
    Unknown,
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

    pub(crate) fn poll<Req, C, T>(
        &mut self,
        pool: &Pool<K, S, C, T>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Candidate<K, S>, NoEndpoint>>
    where
        S: Service<Req> + Clone,
        S::Error: Into<BoxError>,
    {
        let now = Instant::now();
        let is_first = self.started.is_none();
        let started = *self.started.get_or_insert(now);
        let nanos = pool.shared.clock.nanos(now);
        for turn in 0..=MOST_PICKS_IN_A_POLL {
            // There may be more to pick, so do not wait. The last turn is for the one that is held
            // and for the bound, which picks must not outlive however many there are.
            let mut more = turn == MOST_PICKS_IN_A_POLL;
            if !more && let Some(endpoint) = self.pick(pool, nanos) {
                let service = endpoint.service.clone();
                let candidate = Candidate {
                    endpoint,
                    service,
                    at: nanos,
                };
                match self.look_at(candidate, pool, nanos, cx) {
                    Look::Ready(candidate) => return Poll::Ready(Ok(candidate)),
                    Look::Unknown => more = true,
                    Look::NotReady => {
                        pool.counters.repicks.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                }
            }
            if let Some(held) = self.held.take()
                && let Look::Ready(candidate) = self.look_at(held, pool, nanos, cx)
            {
                return Poll::Ready(Ok(candidate));
            }

            let waited = now.saturating_duration_since(started);
            // Without a wait there is one more poll for what the first could not look at.
            if waited >= pool.wait && !(more && is_first) {
                let endpoints = pool.shared.endpoints.load().len();
                let error = NoEndpoint::new(endpoints, waited, self.error.take());
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
            if waiting.as_mut().poll(&pool.shared, cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn pick<C, T>(&mut self, pool: &Pool<K, S, C, T>, now: u64) -> Option<Arc<Endpoint<K, S>>> {
        if pool.shared.is_driven() {
            return pool.pick(now);
        }
        let left = self.undriven_picks.checked_sub(1)?;
        let held = self.held.as_ref().map(|held| &held.endpoint);
        let endpoint = pool.pick_undriven(held, now)?;
        self.undriven_picks = left;
        Some(endpoint)
    }

    fn look_at<Req, C, T>(
        &mut self,
        mut candidate: Candidate<K, S>,
        pool: &Pool<K, S, C, T>,
        now: u64,
        cx: &mut Context<'_>,
    ) -> Look<K, S>
    where
        S: Service<Req>,
        S::Error: Into<BoxError>,
    {
        candidate.at = now;
        let endpoint = &candidate.endpoint;
        if endpoint.is_removed() {
            return Look::NotReady;
        }
        match candidate.service.poll_ready(cx) {
            // It may have been removed meanwhile.
            Poll::Ready(Ok(())) if endpoint.is_removed() => Look::NotReady,
            Poll::Ready(Ok(())) => {
                pool.found_ready(endpoint);
                Look::Ready(candidate)
            }
            Poll::Ready(Err(error)) => {
                pool.failed(endpoint, now);
                self.error = Some(error.into());
                Look::NotReady
            }
            Poll::Pending => {
                let exhausted = !coop::has_budget_remaining();
                if !exhausted {
                    pool.not_ready(endpoint);
                }
                if self.held.is_none() {
                    self.held = Some(candidate);
                }
                if exhausted {
                    Look::Unknown
                } else {
                    Look::NotReady
                }
            }
        }
    }
}

pin_project! {
    /// Ends when there may be something to pick, or no time left to wait.
    struct Waiting {
        #[pin]
        changed: OwnedNotified,
        #[pin]
        elapsed: Option<Sleep>,
    }
}

impl Waiting {
    fn new<K, S>(shared: &Shared<K, S>, started: Instant, wait: Duration) -> Self {
        Self {
            changed: Arc::clone(&shared.changed).notified_owned(),
            // None if the end is further away than a clock can tell.
            elapsed: started.checked_add(wait).map(sleep_until),
        }
    }

    fn poll<K, S>(self: Pin<&mut Self>, shared: &Shared<K, S>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if this.changed.as_mut().poll(cx).is_ready() {
            this.changed
                .set(Arc::clone(&shared.changed).notified_owned());
            return Poll::Ready(());
        }
        match this.elapsed.as_pin_mut() {
            Some(elapsed) => elapsed.poll(cx),
            None => Poll::Pending,
        }
    }
}

/// So that a request that finds many endpoints not ready lets others run in between.
const MOST_PICKS_IN_A_POLL: usize = 16;
/// Without a driver nothing marks an endpoint as not ready, so that a request may meet the same
/// ones again.
const MOST_UNDRIVEN_PICKS: u8 = 8;

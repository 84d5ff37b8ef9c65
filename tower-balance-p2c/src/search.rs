//! How one request finds an endpoint that is ready.

mod longer;

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{task::coop, time::Instant};
use tower_service::Service;

use crate::{
    BoxError, claim::Claim, common::Name, endpoint::Endpoint, error::NoEndpoint, load::Load,
    pool::Pool, search::longer::Longer,
};

/// An endpoint's service that was polled for the request, and is ready.
pub(crate) struct Ready<K, S> {
    pub(crate) load: Arc<Load<K>>,
    pub(crate) service: S,
    /// When it was looked at.
    pub(crate) at: u64,
    /// Where the request is a probe.
    pub(crate) claim: Option<Box<Claim>>,
}

/// An endpoint and the clone of its service that was polled for the request.
struct Held<K, S> {
    endpoint: Arc<Endpoint<K, S>>,
    service: S,
}

/// Begins with one look, which is all that most requests need.
pub(crate) struct Search<K, S> {
    longer: Option<Box<Longer<K, S>>>,
}

/// What came of one look at a candidate.
enum Look {
    Ready,
    NotReady {
        /// The service will wake the request when it is.
        waits: bool,
        /// A readiness error.
        error: Option<BoxError>,
    },
    /// The task has used up its budget: nothing can be said before its next poll.
    Unknown,
}

/// What came of one pick.
enum Tried<K, S> {
    Ready(Ready<K, S>),
    Missed(Missed<K, S>),
    /// There was nothing to pick.
    Nothing,
}

/// A candidate that is not ready, as far as is known.
struct Missed<K, S> {
    /// Where it will wake the request.
    held: Option<Held<K, S>>,
    error: Option<BoxError>,
    is_known: bool,
    /// Whether the request would have been its whatever it costs.
    was_owed: bool,
}

impl<K, S> Search<K, S> {
    pub(crate) fn new() -> Self {
        Self { longer: None }
    }

    #[inline]
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
        if let Some(longer) = &mut self.longer {
            return longer.poll(None, pool, &avoids, now, cx);
        }
        let nanos = pool.shared.common.clock.nanos(now);
        match try_pick(None, true, pool, &avoids, nanos, cx) {
            Tried::Ready(ready) => Poll::Ready(Ok(ready)),
            tried => self.begin(now).poll(Some(tried), pool, &avoids, now, cx),
        }
    }

    #[cold]
    fn begin(&mut self, now: Instant) -> &mut Longer<K, S> {
        self.longer.insert(Box::new(Longer::new(now)))
    }
}

/// Looks at the best candidate, which is not the one that is `held` where nobody knows which are
/// ready, or at one that is owed a request, if this one is `free` to be that.
#[inline]
fn try_pick<Req, K, S, C, T, A>(
    held: Option<&Arc<Endpoint<K, S>>>,
    free: bool,
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
    let held = held.filter(|_| !is_driven);
    let Some(pick) = pool.pick(now, is_driven, free, held, avoids) else {
        return Tried::Nothing;
    };
    let endpoint = pick.endpoint();
    let claim = pick
        .probe
        .map(|probe| Box::new(Claim::new(&endpoint.load, probe, now)));
    let mut service = endpoint.service.clone();
    match look_at(endpoint, &mut service, pool, cx) {
        Look::Ready => Tried::Ready(Ready {
            load: Arc::clone(&pick.entry().load),
            service,
            at: now,
            claim,
        }),
        look => Tried::Missed(Missed {
            was_owed: pick.is_owed,
            ..Missed::new(endpoint, service, look)
        }),
    }
}

#[inline]
fn look_at<Req, K, S, C, T, A>(
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
        return Look::GONE;
    }
    let mut asked = Asked {
        pool,
        endpoint,
        has_answered: false,
    };
    let readiness = service.poll_ready(cx);
    asked.has_answered = true;
    match readiness {
        // It may have been removed meanwhile.
        Poll::Ready(Ok(())) if endpoint.is_removed() => Look::GONE,
        Poll::Ready(Ok(())) => {
            pool.found_ready(endpoint);
            Look::Ready
        }
        Poll::Ready(Err(error)) => {
            let error = error.into();
            pool.failed(endpoint, &error);
            Look::NotReady {
                waits: false,
                error: Some(error),
            }
        }
        Poll::Pending if coop::has_budget_remaining() => {
            pool.not_ready(endpoint);
            Look::NotReady {
                waits: true,
                error: None,
            }
        }
        Poll::Pending => Look::Unknown,
    }
}

/// An endpoint that is asked whether it is ready. If it panics instead, that is a readiness error.
struct Asked<'a, K: Name, S, C, T, A> {
    pool: &'a Pool<K, S, C, T, A>,
    endpoint: &'a Arc<Endpoint<K, S>>,
    has_answered: bool,
}

impl<K: Name, S, C, T, A> Drop for Asked<'_, K, S, C, T, A> {
    fn drop(&mut self) {
        if !self.has_answered {
            let error = "it panicked when it was asked".into();
            self.pool.failed(self.endpoint, &error);
        }
    }
}

impl Look {
    const GONE: Self = Self::NotReady {
        waits: false,
        error: None,
    };
}

impl<K, S> Missed<K, S> {
    #[cold]
    fn new(endpoint: &Arc<Endpoint<K, S>>, service: S, look: Look) -> Self {
        let is_known = !matches!(look, Look::Unknown);
        let (waits, error) = match look {
            Look::NotReady { waits, error } => (waits, error),
            Look::Ready | Look::Unknown => (true, None),
        };
        Self {
            held: waits.then(|| Held {
                endpoint: Arc::clone(endpoint),
                service,
            }),
            error,
            is_known,
            was_owed: false,
        }
    }
}

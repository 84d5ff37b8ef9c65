//! What handles, requests and the driver share.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc::UnboundedSender},
};

use crate::{
    clock::Clock,
    endpoint::{Endpoint, Unready},
    layer::Settings,
    load::Load,
    pick::pick,
    typical::{self, Typical},
};

pub(crate) type Endpoints<K, S> = Vec<Arc<Endpoint<K, S>>>;

/// Owned by the handles and by the requests that have no answer yet. When the last of them is
/// dropped, `unready` closes, and that ends the driver.
pub(crate) struct Pool<K, S, C, T> {
    pub(crate) shared: Arc<Shared<K, S>>,
    pub(crate) classify: C,
    pub(crate) completion: T,
    pub(crate) wait: Duration,
    pub(crate) counters: Counters,
    choices: usize,
    unready: UnboundedSender<Unready<K, S>>,
    deferred: Deferred,
}

impl<K, S, C, T> Pool<K, S, C, T> {
    pub(crate) fn new(
        shared: Arc<Shared<K, S>>,
        unready: UnboundedSender<Unready<K, S>>,
        settings: Settings,
        classify: C,
        completion: T,
    ) -> Self {
        Self {
            shared,
            classify,
            completion,
            wait: settings.wait,
            counters: Counters::default(),
            choices: settings.choices,
            unready,
            deferred: Deferred::default(),
        }
    }

    /// One of the endpoints that are ready as far as is known.
    pub(crate) fn pick(&self, now: u64) -> Option<Arc<Endpoint<K, S>>> {
        let endpoints = self.shared.endpoints.load();
        self.shared.renew_typical(&endpoints, now);
        let index = pick(
            endpoints.len(),
            self.choices,
            |index| endpoints[index].is_ready(),
            |index| endpoints[index].load.cost(now),
            &mut rand::rng(),
        )?;
        Some(Arc::clone(&endpoints[index]))
    }

    /// One of all endpoints, for when no driver finds out which are ready: the one of least cost
    /// at first, and any other while that one is held.
    pub(crate) fn pick_undriven(
        &self,
        held: Option<&Arc<Endpoint<K, S>>>,
        now: u64,
    ) -> Option<Arc<Endpoint<K, S>>> {
        let endpoints = self.shared.endpoints.load();
        let is_held = |endpoint| held.is_some_and(|held| Arc::ptr_eq(held, endpoint));
        let index = pick(
            endpoints.len(),
            if held.is_some() { 1 } else { self.choices },
            |index| !endpoints[index].is_removed() && !is_held(&endpoints[index]),
            |index| endpoints[index].load.cost(now),
            &mut rand::rng(),
        )?;
        Some(Arc::clone(&endpoints[index]))
    }

    /// Hands an endpoint that a request has found not ready to the driver.
    pub(crate) fn not_ready(&self, endpoint: &Arc<Endpoint<K, S>>) {
        if endpoint.clear_ready() {
            self.hand_over(endpoint, false);
        }
    }

    /// Likewise after a readiness error. Of many requests that meet it at once one counts.
    pub(crate) fn failed(&self, endpoint: &Arc<Endpoint<K, S>>, now: u64) {
        if endpoint.clear_ready() || !self.shared.is_driven() {
            endpoint.readiness_failed(now);
            self.hand_over(endpoint, true);
        }
    }

    pub(crate) fn found_ready(&self, endpoint: &Endpoint<K, S>) {
        endpoint.dispatched();
        if !self.shared.is_driven() {
            endpoint.set_ready();
        }
    }

    fn hand_over(&self, endpoint: &Arc<Endpoint<K, S>>, failed: bool) {
        // Without a driver this fails, and requests find out for themselves.
        let _ = self.unready.send(Unready {
            endpoint: Arc::clone(endpoint),
            failed,
        });
    }

    /// Keeps the driver until [`drive`](Self::drive) finds a runtime.
    pub(crate) fn defer(&mut self, driver: impl Future<Output = ()> + Send + 'static) {
        self.deferred = Deferred {
            waiting: AtomicBool::new(true),
            driver: Mutex::new(Some(Box::pin(driver))),
        };
    }

    pub(crate) fn drive(&self) {
        if self.deferred.waiting.load(Ordering::Relaxed) {
            self.deferred.spawn();
        }
    }
}

/// What the driver writes and requests read.
pub(crate) struct Shared<K, S> {
    pub(crate) endpoints: ArcSwap<Endpoints<K, S>>,
    /// Wakes the requests that wait, all of them, when there may be something to pick.
    pub(crate) changed: Arc<Notify>,
    pub(crate) clock: Clock,
    driven: AtomicBool,
    typical: Arc<Typical>,
    decay: u64,
}

impl<K, S> Shared<K, S> {
    pub(crate) fn new(decay: Duration) -> Self {
        let clock = Clock::start();
        Self {
            endpoints: ArcSwap::default(),
            changed: Arc::new(Notify::new()),
            clock,
            driven: AtomicBool::new(false),
            typical: Arc::new(Typical::new(clock.now())),
            decay: u64::try_from(decay.as_nanos()).unwrap_or(u64::MAX),
        }
    }

    pub(crate) fn new_load(&self) -> Load {
        Load::new(Arc::clone(&self.typical), self.decay, self.clock.now())
    }

    pub(crate) fn is_driven(&self) -> bool {
        self.driven.load(Ordering::Acquire)
    }

    pub(crate) fn set_driven(&self, driven: bool) {
        if self.driven.swap(driven, Ordering::AcqRel) != driven {
            self.changed.notify_waiters();
        }
    }

    fn renew_typical(&self, endpoints: &Endpoints<K, S>, now: u64) {
        if !self.typical.claim_renewal(now) {
            return;
        }
        // A window that moves on over a big set, so that all of it counts in time.
        let step = (now / typical::RENEWAL) as usize;
        let start = step.wrapping_mul(typical::MOST_SAMPLED) % endpoints.len().max(1);
        let (before, after) = endpoints.split_at(start);
        let sampled = after.iter().chain(before).take(typical::MOST_SAMPLED);
        let estimates = sampled.filter_map(|endpoint| endpoint.load.measured_latency(now));
        if let Some(median) = typical::median(estimates) {
            self.typical.set(median);
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) picks: AtomicU64,
    pub(crate) repicks: AtomicU64,
    pub(crate) waits: AtomicU64,
}

/// A driver for which there was no runtime yet.
#[derive(Default)]
struct Deferred {
    waiting: AtomicBool,
    driver: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
}

impl Deferred {
    fn spawn(&self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let driver = self
            .driver
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        self.waiting.store(false, Ordering::Relaxed);
        if let Some(driver) = driver {
            runtime.spawn(driver);
        }
    }
}

impl<K, S, C, T> fmt::Debug for Pool<K, S, C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("endpoints", &self.shared.endpoints.load().len())
            .field("driven", &self.shared.is_driven())
            .field("choices", &self.choices)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

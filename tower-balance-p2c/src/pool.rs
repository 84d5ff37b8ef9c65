//! What handles, requests and the driver share.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use rand::{RngExt as _, rngs::SmallRng};
use tokio::sync::{Notify, mpsc::UnboundedSender};

use crate::{
    deferred::Deferred,
    endpoint::{Endpoint, Unready},
    error::EndpointCounts,
    health::Register,
    lanes::{Lane, Lanes, Sum},
    load::{Common, Load},
    observer::Told,
    pick::{BestOfEqual, Choices, Found, Offer, sample, scan},
    sampler::Sampler,
    settings::Settings,
    snapshot::{Entry, Snapshot},
    typical::{self, Typical},
    weights::{BestByWeight, drawn_level, level},
};

/// Owned by the handles and by the requests that have no answer yet. When the last of them is
/// dropped, `unready` closes, and that ends the driver.
pub(crate) struct Pool<K, S, C, T, A> {
    pub(crate) shared: Arc<Shared<K, S>>,
    pub(crate) classify: C,
    pub(crate) completion: T,
    pub(crate) steer: A,
    pub(crate) wait: Duration,
    pub(crate) counters: Counters,
    choices: Choices,
    unready: UnboundedSender<Unready<K, S>>,
    deferred: Deferred,
}

/// As handles hold it.
pub(crate) type PoolLanes<K, S, C, T, A> = Lanes<Pool<K, S, C, T, A>>;

/// As a request holds it.
pub(crate) type PoolLane<K, S, C, T, A> = Arc<Lane<Pool<K, S, C, T, A>>>;

/// An endpoint that a request should try.
pub(crate) struct Pick<K, S> {
    pub(crate) snapshot: Guard<Arc<Snapshot<K, S>>>,
    pub(crate) index: usize,
    /// It is ejected, and the request is to find out whether it is well again.
    pub(crate) is_probe: bool,
}

impl<K, S> Pick<K, S> {
    pub(crate) fn entry(&self) -> &Entry<K, S> {
        &self.snapshot.entries()[self.index]
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint<K, S>> {
        &self.entry().endpoint
    }
}

/// What a pick does without, step by step, when it finds nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ease {
    Nothing,
    SlowStart,
    Avoidance,
    Health,
}

impl<K, S, C, T, A> Pool<K, S, C, T, A> {
    pub(crate) fn new(
        shared: Arc<Shared<K, S>>,
        unready: UnboundedSender<Unready<K, S>>,
        settings: &Settings,
        (classify, completion, steer): (C, T, A),
    ) -> Self {
        Self {
            shared,
            classify,
            completion,
            steer,
            wait: settings.wait,
            counters: Counters::new(),
            choices: settings.choices.map_or(Choices::Auto, Choices::Exactly),
            unready,
            deferred: Deferred::default(),
        }
    }

    /// One of the endpoints that are ready as far as is known.
    pub(crate) fn pick(&self, now: u64, avoids: impl Fn(&K) -> bool) -> Option<Pick<K, S>> {
        let snapshot = self.shared.snapshot.load();
        let common = &*self.shared.common;
        if common.typical.is_old(now) {
            self.renew(&snapshot, now);
        }
        let (index, is_probe) = if common.register.is_due(now)
            && let Some(owed) = self.owed(&snapshot, now, &avoids)
        {
            owed
        } else {
            (self.choose(&snapshot, now, avoids)?, false)
        };
        Some(Pick {
            snapshot,
            index,
            is_probe,
        })
    }

    /// One of all endpoints, for when no driver finds out which are ready: the one of least cost
    /// at first, and any other while that one is held.
    pub(crate) fn pick_undriven(
        &self,
        held: Option<&Arc<Endpoint<K, S>>>,
        now: u64,
    ) -> Option<Pick<K, S>> {
        let snapshot = self.shared.snapshot.load();
        let is_held = |endpoint| held.is_some_and(|held| Arc::ptr_eq(held, endpoint));
        let entries = snapshot.entries();
        let all = Sampler::new(0, &vec![1.0; entries.len()]);
        let found = self.shared.common.chance.with(|rng| {
            scan::<BestOfEqual, _>(&all, rng, |index, rng| {
                let Entry { endpoint, load, .. } = &entries[index];
                let may_be = !endpoint.is_removed() && !is_held(endpoint);
                may_be.then(|| Offer {
                    cost: if held.is_some() {
                        rng.random()
                    } else {
                        load.cost(now, snapshot.differences(), |in_flight| {
                            level(in_flight, load.weight()).0
                        })
                    },
                    room: 1.0,
                    weight: 1.0,
                    in_flight: 0,
                })
            })
        });
        let index = found?.index;
        Some(Pick {
            snapshot,
            index,
            is_probe: false,
        })
    }

    fn choose(
        &self,
        snapshot: &Snapshot<K, S>,
        now: u64,
        avoids: impl Fn(&K) -> bool,
    ) -> Option<usize> {
        let first = if self.shared.common.register.is_panicking() {
            Ease::Health
        } else {
            Ease::Nothing
        };
        self.best(snapshot, now, &avoids, first).or_else(|| {
            // Only those that are left alone are left, or those that nobody wants.
            let panics = self.weigh(snapshot);
            [Ease::SlowStart, Ease::Avoidance, Ease::Health]
                .into_iter()
                .filter(|&ease| ease > first && (ease < Ease::Health || panics))
                .find_map(|ease| self.best(snapshot, now, &avoids, ease))
        })
    }

    /// The best of the near endpoints, or of the far ones if these promise a much quicker answer.
    fn best(
        &self,
        snapshot: &Snapshot<K, S>,
        now: u64,
        avoids: &impl Fn(&K) -> bool,
        ease: Ease,
    ) -> Option<usize> {
        let near = self.best_of(snapshot.near(), snapshot, now, avoids, ease);
        if snapshot.far().len() == 0 {
            return near.map(|found| found.index);
        }
        let far = self.best_of(snapshot.far(), snapshot, now, avoids, ease);
        let (near, far) = match (near, far) {
            (Some(near), Some(far)) => (near, far),
            (one, other) => return one.or(other).map(|found| found.index),
        };
        let expected = |found: Found| snapshot.entries()[found.index].load.expected_latency(now);
        if expected(near) > expected(far) * SPILL {
            Some(far.index)
        } else {
            Some(near.index)
        }
    }

    fn best_of(
        &self,
        sampler: &Sampler,
        snapshot: &Snapshot<K, S>,
        now: u64,
        avoids: &impl Fn(&K) -> bool,
        ease: Ease,
    ) -> Option<Found> {
        if sampler.len() == 0 {
            return None;
        }
        let (entries, differences) = (snapshot.entries(), snapshot.differences());
        let is_candidate = |entry: &Entry<K, S>, rng: &mut SmallRng| {
            entry.endpoint.is_ready()
                && (entry.load.may_serve() || ease >= Ease::Health)
                && (ease >= Ease::SlowStart || takes_part(&entry.load, now, rng))
                && (ease >= Ease::Avoidance || !avoids(&entry.load.key))
        };
        let choices = self.choices.of(sampler.len());
        let offer = |index: usize, rng: &mut SmallRng| {
            let entry = &entries[index];
            if !is_candidate(entry, rng) {
                return None;
            }
            let (load, mut room, mut in_flight) = (&entry.load, 1.0, 0);
            let weight = load.weight();
            let cost = load.cost(now, differences, |busy| {
                in_flight = busy;
                if choices.is_some() {
                    return drawn_level(busy, weight, rng.random());
                }
                let (queue, left) = level(busy, weight);
                room = left;
                queue
            });
            Some(Offer {
                cost,
                room,
                weight,
                in_flight,
            })
        };
        self.shared.common.chance.with(|rng| match choices {
            None if snapshot.is_weighted() => scan::<BestByWeight, _>(sampler, rng, offer),
            None => scan::<BestOfEqual, _>(sampler, rng, offer),
            Some(choices) if snapshot.is_weighted() => {
                sample::<BestByWeight, _>(sampler, choices, rng, offer)
            }
            Some(choices) => sample::<BestOfEqual, _>(sampler, choices, rng, offer),
        })
    }

    /// An endpoint that is to get the next request whatever it costs.
    fn owed(
        &self,
        snapshot: &Snapshot<K, S>,
        now: u64,
        avoids: &impl Fn(&K) -> bool,
    ) -> Option<(usize, bool)> {
        let common = &self.shared.common;
        let rate = common.typical.rate();
        let claimed = common.register.claim(now, rate, |member| {
            let is_it = |entry: &Entry<K, S>| {
                std::ptr::addr_eq(Arc::as_ptr(&entry.load), Arc::as_ptr(member))
            };
            let index = snapshot.entries().iter().position(is_it)?;
            let entry = &snapshot.entries()[index];
            (entry.endpoint.is_ready() && !avoids(&entry.load.key)).then_some(index)
        });
        let (index, is_probe) = claimed?;
        if is_probe {
            self.counters.probes.fetch_add(1, Ordering::Relaxed);
        }
        Some((index, is_probe))
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
        self.deferred = Deferred::new(driver);
    }

    pub(crate) fn drive(&self) {
        self.deferred.drive();
    }

    fn weigh(&self, snapshot: &Snapshot<K, S>) -> bool {
        let usable = snapshot
            .entries()
            .iter()
            .filter(|entry| entry.endpoint.is_ready() && !entry.load.is_ejected());
        self.shared.common.register.weigh(usable.count())
    }

    #[cold]
    fn renew(&self, snapshot: &Snapshot<K, S>, now: u64) {
        let common = &self.shared.common;
        let Some(elapsed) = common.typical.claim_renewal(now) else {
            return;
        };
        common
            .typical
            .set_served(self.counters.picks.total(), elapsed);
        if common.register.ejected() > 0 {
            self.weigh(snapshot);
        }
        // A window that moves on over a big set, so that all of it counts in time.
        let entries = snapshot.entries();
        let step = (now / typical::RENEWAL) as usize;
        let start = step.wrapping_mul(typical::MOST_SAMPLED) % entries.len().max(1);
        let (before, after) = entries.split_at(start);
        let sampled = || after.iter().chain(before).take(typical::MOST_SAMPLED);
        // What is known only of cancelled requests must not become typical: those that were not
        // tried yet would look as bad as one that hangs.
        let measured = sampled()
            .filter(|entry| entry.load.outcomes().totals().successes > 0)
            .filter_map(|entry| entry.load.measured(now));
        if let Some(median) = typical::median(measured) {
            common.typical.set_per_place(median);
        }
        let failing = sampled().filter_map(|entry| entry.load.failing(now));
        common
            .typical
            .set_failing(typical::median(failing).unwrap_or(0.0));
    }
}

/// Whether a newcomer is a candidate this time.
fn takes_part<K>(load: &Load<K>, now: u64, rng: &mut SmallRng) -> bool {
    !load.is_newcomer(now) || rng.random::<f64>() < load.share(now)
}

/// What the driver writes and requests read.
pub(crate) struct Shared<K, S> {
    pub(crate) snapshot: ArcSwap<Snapshot<K, S>>,
    /// Wakes the requests that wait, all of them, when there may be something to pick.
    pub(crate) changed: Arc<Notify>,
    pub(crate) common: Arc<Common>,
    pub(crate) zone: Option<Arc<str>>,
    driven: AtomicBool,
}

impl<K, S> Shared<K, S> {
    pub(crate) fn new(settings: &Settings) -> Self {
        let clock = crate::clock::Clock::start();
        let decay = u64::try_from(settings.decay.as_nanos()).unwrap_or(u64::MAX);
        let common = Common {
            clock,
            chance: crate::chance::Chance::new(settings.seed),
            typical: Typical::new(clock.now(), decay),
            register: Register::new(settings.ejection.nanos()),
            slow_start: settings.slow_start,
            told: settings
                .observer
                .clone()
                .map_or_else(Told::default, Told::to),
        };
        Self {
            snapshot: ArcSwap::default(),
            changed: Arc::new(Notify::new()),
            common: Arc::new(common),
            zone: settings.zone.clone(),
            driven: AtomicBool::new(false),
        }
    }

    /// What there is, for those who got nothing.
    pub(crate) fn counts(&self) -> EndpointCounts {
        let snapshot = self.snapshot.load();
        let mut counts = EndpointCounts::default();
        for entry in snapshot.entries() {
            counts.endpoints += 1;
            let is_ready = entry.endpoint.is_ready();
            counts.ready += usize::from(is_ready);
            counts.ejected += usize::from(is_ready && entry.load.is_ejected());
        }
        counts
    }

    pub(crate) fn is_driven(&self) -> bool {
        self.driven.load(Ordering::Acquire)
    }

    pub(crate) fn set_driven(&self, driven: bool) {
        if self.driven.load(Ordering::Relaxed) != driven
            && self.driven.swap(driven, Ordering::AcqRel) != driven
        {
            self.changed.notify_waiters();
        }
    }
}

#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) picks: Sum,
    pub(crate) repicks: AtomicU64,
    pub(crate) waits: AtomicU64,
    pub(crate) probes: AtomicU64,
}

impl Counters {
    fn new() -> Self {
        Self {
            picks: Sum::new(),
            repicks: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            probes: AtomicU64::new(0),
        }
    }
}

impl<K, S, C, T, A> fmt::Debug for Pool<K, S, C, T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("endpoints", &self.shared.snapshot.load().entries().len())
            .field("driven", &self.shared.is_driven())
            .field("choices", &self.choices)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

/// A far endpoint must promise an answer in so much less time than the best near one.
const SPILL: f64 = 2.5;

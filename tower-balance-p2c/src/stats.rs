use std::{
    fmt::Debug,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::{
    common::Lens,
    health::{Releases, State},
    pool::Counters,
    shared::Shared,
    snapshot::Entry,
};

/// A balancer at one moment, from [`Balance::stats`](crate::Balance::stats).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats<K> {
    /// The endpoints of the set: those of the own zone first, else in the order in which they
    /// joined.
    pub endpoints: Vec<EndpointStats<K>>,
    /// How many of them are ready.
    pub ready: usize,
    /// How many of them are ejected.
    pub ejected: usize,
    /// Whether ejection is ignored because too few endpoints can be used: see
    /// [`Ejection::panic`](crate::Ejection::panic).
    pub panicking: bool,
    /// Whether the [`Driver`](crate::Driver) was polled, and has not ended or been dropped since.
    /// While it is not so, nothing follows discovery, and endpoints become ready only under a request.
    /// The same goes for a driver that somebody keeps and does not poll any more, such as a runtime
    /// that is not run, but that cannot be seen here.
    pub driver_running: bool,
    /// Requests that were sent to an endpoint.
    pub picks: u64,
    /// Times a request looked at an endpoint that turned out not to be ready, and picked another.
    pub repicks: u64,
    /// Requests that found no endpoint ready and had to wait, whatever came of it.
    pub waits: u64,
    /// Requests that were to find out whether an ejected endpoint is well again.
    pub probes: u64,
    /// The latency, for each place in the queue, that an endpoint is taken to have while nothing
    /// else is known.
    pub typical_latency: Duration,
}

impl<K: Clone + Debug + Send + Sync + 'static> Stats<K> {
    pub(crate) fn of<S>(shared: &Shared<K, S>, counters: &Counters) -> Self {
        let common = &shared.common;
        let now = common.clock.now();
        let snapshot = shared.snapshot.load();
        let lens = common.lens(now, snapshot.differences());
        let releases = common.register.releases();
        let endpoints = snapshot.entries().iter();
        let endpoints: Vec<_> = endpoints
            .map(|entry| EndpointStats::of(entry, &lens, &releases))
            .collect();
        let count = |is: fn(&EndpointStats<K>) -> bool| endpoints.iter().filter(|e| is(e)).count();
        Self {
            ready: count(|endpoint| endpoint.ready),
            ejected: count(|endpoint| {
                matches!(endpoint.health, Health::Ejected { .. } | Health::Probing)
            }),
            endpoints,
            panicking: common.register.is_panicking(),
            driver_running: shared.is_driven(),
            picks: counters.picks.total(),
            repicks: counters.repicks.load(Ordering::Relaxed),
            waits: counters.waits.load(Ordering::Relaxed),
            probes: counters.probes.load(Ordering::Relaxed),
            typical_latency: Duration::from_nanos(common.typical.per_place() as u64),
        }
    }
}

/// One endpoint at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndpointStats<K> {
    /// The key that discovery gave it.
    pub key: K,
    /// Whether it was ready when last looked at. Only such an endpoint is picked.
    pub ready: bool,
    /// Whether its failures keep requests away from it.
    pub health: Health,
    /// How often it was ejected.
    pub ejections: u64,
    /// The weight that discovery gave it.
    pub weight: f64,
    /// Its zone, if discovery gave it one.
    pub zone: Option<Arc<str>>,
    /// The share of requests for which it is a candidate: less than one for a newcomer.
    pub share: f64,
    /// Requests that were sent and are not complete: see [`Completion`](crate::Completion).
    pub in_flight: usize,
    /// The average latency of its successes, to the response's head. `None` before the first.
    pub latency: Option<Duration>,
    /// What the latency is taken to be for each place in the queue, now: the cost's first part.
    pub latency_per_place: Duration,
    /// For how long it has owed an answer without giving any.
    pub silence: Duration,
    /// One for an endpoint that has not failed lately, less with each failure, 0.01 at the least.
    /// An ejection stands for the failures before it: after it the endpoint begins anew.
    pub success: f64,
    /// What one more request is taken to cost: nanoseconds of latency, times the requests that
    /// would be in flight, divided by the third power of `success`. Of the endpoints that a request
    /// compares it gets the one of the lowest cost, or one of those that are within 5 % of it. Where
    /// weights differ, more than the cost decides; zones are compared by the latency to expect.
    pub cost: f64,
    /// Requests that ended as successes or failures: see [`Classify`](crate::Classify). Those that
    /// were dropped before an answer, and neutral ones, are not counted.
    pub requests: u64,
    /// Those of `requests` that were failures, from the beginning or by the way they
    /// [ended](crate::InFlight::failed). Never more than `requests`.
    pub failures: u64,
}

/// What an endpoint's failures have led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// Nothing.
    Admitted,
    /// It gets no requests.
    Ejected {
        /// Until so much time has passed; then the next request is its probe.
        remaining: Duration,
    },
    /// A request is under way that will tell whether it is well again.
    Probing,
    /// It is well again as far as is known, and gets few requests at a time.
    Probation {
        /// That many.
        at_a_time: u32,
    },
}

impl<K: Clone + Debug + Send + Sync + 'static> EndpointStats<K> {
    fn of<S>(entry: &Entry<K, S>, lens: &Lens, releases: &Releases) -> Self {
        let (load, now) = (&entry.load, lens.now);
        let totals = load.outcomes().totals();
        let health = match load.state() {
            State::Admitted | State::Gone => Health::Admitted,
            State::Probing => Health::Probing,
            State::Probation(at_a_time) => Health::Probation { at_a_time },
            State::Ejected => {
                let remaining = releases.of(load).unwrap_or(now).saturating_sub(now);
                Health::Ejected {
                    remaining: Duration::from_nanos(remaining),
                }
            }
        };
        Self {
            key: load.key.clone(),
            ready: entry.endpoint.is_ready(),
            health,
            ejections: load.ticket(None).ejections.into(),
            weight: entry.attributes.weight_value(),
            zone: entry.attributes.zone_name().cloned(),
            share: load.share(now),
            in_flight: load.in_flight() as usize,
            latency: load.latency(),
            latency_per_place: Duration::from_nanos(load.per_place(now) as u64),
            silence: load.silence(now),
            success: load.outcomes().ratio(now),
            cost: load.cost(lens, load.queue()),
            requests: totals.total(),
            failures: totals.failures,
        }
    }
}

use std::{sync::atomic::Ordering, time::Duration};

use crate::{endpoint::Endpoint, pool::Counters};

/// A balancer at one moment, from [`Balance::stats`](crate::Balance::stats).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats<K> {
    /// The endpoints of the set, in no particular order.
    pub endpoints: Vec<EndpointStats<K>>,
    /// How many of them are ready.
    pub ready: usize,
    /// Whether the [`Driver`](crate::Driver) is being polled by someone. While it is not, nothing
    /// follows discovery, and endpoints become ready only under a request.
    pub driver_running: bool,
    /// Requests that were sent to an endpoint.
    pub picks: u64,
    /// Times a request looked at an endpoint that turned out not to be ready, and picked another.
    pub repicks: u64,
    /// Requests that found no endpoint ready and had to wait, whatever came of it.
    pub waits: u64,
}

impl<K> Stats<K> {
    pub(crate) fn new(
        endpoints: Vec<EndpointStats<K>>,
        driver_running: bool,
        counters: &Counters,
    ) -> Self {
        Self {
            ready: endpoints.iter().filter(|endpoint| endpoint.ready).count(),
            endpoints,
            driver_running,
            picks: counters.picks.load(Ordering::Relaxed),
            repicks: counters.repicks.load(Ordering::Relaxed),
            waits: counters.waits.load(Ordering::Relaxed),
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
    /// Requests that were sent and are not complete: see [`Completion`](crate::Completion).
    pub in_flight: usize,
    /// The latency estimate, to the response's head. `None` before the first sample.
    pub latency: Option<Duration>,
    /// One for an endpoint that has not failed lately, less with each failure, 0.01 at the least.
    pub success: f64,
    /// What one more request is taken to cost: nanoseconds of latency, times the requests that
    /// would be in flight, divided by the third power of `success`. The lowest is picked.
    pub cost: f64,
    /// Requests that were [classified](crate::Classify) as successes or failures. Those that were
    /// dropped before, and neutral ones, are not counted.
    pub requests: u64,
    /// Those of `requests` that were failures, from the beginning or by the way they
    /// [ended](crate::InFlight::failed). Never more than `requests`.
    pub failures: u64,
}

impl<K: Clone> EndpointStats<K> {
    pub(crate) fn new<S>(endpoint: &Endpoint<K, S>, now: u64) -> Self {
        let load = &endpoint.load;
        let latency = load.latency(now);
        let (requests, failures) = load.counts();
        Self {
            key: endpoint.key.clone(),
            ready: endpoint.is_ready(),
            in_flight: load.in_flight(),
            latency: latency.map(|nanos| Duration::from_nanos(nanos as u64)),
            success: load.success(now),
            cost: load.cost(now),
            requests,
            failures,
        }
    }
}

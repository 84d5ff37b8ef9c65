//! What is written down of one run, and the figures that are made of it.

use hdrhistogram::Histogram;

use super::{
    endpoint::Request,
    event::{Nanos, seconds},
    policy::Policy,
    scenario::{Scenario, Watch},
};

/// Counts and latencies of a run.
pub(super) struct Record {
    latencies: Histogram<u64>,
    total: f64,
    requests: u64,
    errors: u64,
    warm_up: Nanos,
    late: Nanos,
    watch: Option<Watched>,
}

/// What the watched server got.
struct Watched {
    watch: Watch,
    servers: f64,
    duration: f64,
    buckets: Vec<Bucket>,
    /// While it is bad.
    bad: Bucket,
    /// In the first second after `from`.
    first_second: Bucket,
    first_of_client: Vec<Option<Nanos>>,
}

#[derive(Clone, Copy, Default)]
struct Bucket {
    watched: u64,
    all: u64,
}

/// The figures of one run. Milliseconds, percent and seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    pub(super) mean: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) errors: f64,
    /// How many requests failed.
    pub(super) failed: f64,
    /// How often a client has ejected a server, if any ever does.
    pub(super) ejections: Option<f64>,
    /// The watched server's share of requests while it is bad.
    pub(super) bad_share: Option<f64>,
    /// From when the watched server is good again until it has half of its fair share; infinite if
    /// that was not seen.
    pub(super) back: Option<f64>,
    /// In the watched server's first second, its share by its fair one.
    pub(super) first_second: Option<f64>,
    /// From then to the first request of a client, in the mean of the clients.
    pub(super) first_request: Option<f64>,
}

impl Record {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let latencies = Histogram::new_with_bounds(1, LONGEST_MICROS, 3);
        Self {
            latencies: latencies.expect("the bounds are in order"),
            total: 0.0,
            requests: 0,
            errors: 0,
            warm_up: seconds(scenario.warm_up),
            late: scenario.late.map_or(Nanos::MAX, seconds),
            watch: scenario.watch.map(|watch| Watched::new(watch, scenario)),
        }
    }

    pub(super) fn sent(&mut self, server: usize, request: &Request, now: Nanos) {
        if let Some(watch) = &mut self.watch {
            watch.sent(server, request.client, now);
        }
    }

    pub(super) fn answered(&mut self, begun: Nanos, now: Nanos) {
        if begun >= self.warm_up {
            self.requests += 1;
            self.errors += u64::from(now - begun > self.late);
            self.measure(now - begun);
        }
    }

    /// Fast failures say nothing about how long a request takes.
    pub(super) fn failed(&mut self, _begun: Nanos) {
        self.requests += 1;
        self.errors += 1;
    }

    /// It would have taken at least as long.
    pub(super) fn gave_up(&mut self, begun: Nanos, now: Nanos) {
        self.failed(begun);
        self.measure(now - begun);
    }

    pub(super) fn figures(&self, clients: &[Box<dyn Policy>]) -> Figures {
        let ejections = clients.iter().map(|client| client.ejections());
        let ejections: Option<u64> = ejections.sum();
        let quantile = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1e3;
        let watch = self.watch.as_ref();
        let newcomer = watch.filter(|watched| watched.watch.joins);
        Figures {
            mean: self.total / self.latencies.len() as f64 / 1e6,
            p50: quantile(0.5),
            p99: quantile(0.99),
            p999: quantile(0.999),
            errors: 100.0 * self.errors as f64 / self.requests as f64,
            failed: self.errors as f64,
            ejections: ejections.map(|ejections| ejections as f64),
            bad_share: watch
                .and_then(|watch| watch.bad.share())
                .map(|share| 100.0 * share),
            back: watch.and_then(Watched::back),
            first_second: newcomer.and_then(Watched::first_second),
            first_request: newcomer.map(Watched::first_request),
        }
    }

    fn measure(&mut self, latency: Nanos) {
        self.total += latency as f64;
        self.latencies.saturating_record(latency / 1_000);
    }
}

impl Watched {
    fn new(watch: Watch, scenario: &Scenario) -> Self {
        Self {
            watch,
            servers: scenario.servers as f64,
            duration: scenario.duration,
            buckets: Vec::new(),
            bad: Bucket::default(),
            first_second: Bucket::default(),
            first_of_client: vec![None; scenario.clients],
        }
    }

    fn sent(&mut self, server: usize, client: usize, now: Nanos) {
        let watched = server == self.watch.server;
        let (from, until) = (seconds(self.watch.from), seconds(self.watch.until));
        if now < from {
            return;
        }
        if now < until {
            self.bad.count(watched);
        } else {
            let bucket = ((now - until) / seconds(BUCKET)) as usize;
            if self.buckets.len() <= bucket {
                self.buckets.resize(bucket + 1, Bucket::default());
            }
            self.buckets[bucket].count(watched);
        }
        if now < from + seconds(1.0) {
            self.first_second.count(watched);
        }
        if watched {
            self.first_of_client[client].get_or_insert(now - from);
        }
    }

    fn back(&self) -> Option<f64> {
        let whole = ((self.duration - self.watch.until) / BUCKET) as usize;
        if whole == 0 {
            return None;
        }
        let half = 0.5 / self.servers;
        let mut buckets = self.buckets.iter().take(whole);
        let back = buckets.position(|bucket| bucket.share().is_some_and(|share| share >= half));
        Some(back.map_or(f64::INFINITY, |bucket| bucket as f64 * BUCKET))
    }

    fn first_second(&self) -> Option<f64> {
        self.first_second.share().map(|share| share * self.servers)
    }

    /// A client that sent none has waited until the end.
    fn first_request(&self) -> f64 {
        let end = seconds(self.duration - self.watch.from);
        let firsts = self.first_of_client.iter();
        let total: Nanos = firsts.map(|first| first.unwrap_or(end)).sum();
        total as f64 / self.first_of_client.len() as f64 / 1e9
    }
}

impl Bucket {
    fn count(&mut self, watched: bool) {
        self.watched += u64::from(watched);
        self.all += 1;
    }

    fn share(self) -> Option<f64> {
        (self.all > 0).then(|| self.watched as f64 / self.all as f64)
    }
}

const LONGEST_MICROS: u64 = 100_000_000;
const BUCKET: f64 = 0.5;

//! What is known of one endpoint: three signals that are kept apart, and two counters.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use crate::{cost::cost, ewma::PeakEwma, success::Success, typical::Typical};

/// Belongs to a key rather than to a service: it outlives the service when discovery inserts the
/// key again.
#[derive(Debug)]
pub(crate) struct Load {
    typical: Arc<Typical>,
    decay: u64,
    latency: PeakEwma,
    success: Success,
    in_flight: AtomicUsize,
    requests: AtomicU64,
    failures: AtomicU64,
}

impl Load {
    pub(crate) fn new(typical: Arc<Typical>, decay: u64, now: u64) -> Self {
        Self {
            typical,
            decay,
            latency: PeakEwma::new(now),
            success: Success::new(now),
            in_flight: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    pub(crate) fn started(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn released(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// An answer has begun well. Either [`completed`](Self::completed) follows or
    /// [`broke_off`](Self::broke_off): one request is one sample of success.
    pub(crate) fn answered(&self, latency: u64, now: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.typical.first(latency as f64);
        self.latency.record(latency, now, self.decay);
    }

    pub(crate) fn completed(&self, now: u64) {
        self.success.record_success(now, self.decay);
    }

    /// Whether a success would change anything.
    pub(crate) fn is_penalised(&self) -> bool {
        self.success.is_penalised()
    }

    pub(crate) fn broke_off(&self, now: u64) {
        // After the request that it belongs to, for whoever reads both.
        self.failures.fetch_add(1, Ordering::Release);
        self.success.record_failure(now, self.decay);
    }

    /// A failure says nothing about latency: one that is quick must not look attractive.
    pub(crate) fn failed(&self, now: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.broke_off(now);
    }

    /// The endpoint failed before there was a request.
    pub(crate) fn failed_readiness(&self, now: u64) {
        self.success.record_failure(now, self.decay);
    }

    pub(crate) fn cancelled(&self, age: u64, now: u64) {
        self.latency
            .record_at_least(age, self.typical.nanos(), now, self.decay);
    }

    pub(crate) fn cost(&self, now: u64) -> f64 {
        let latency = self.latency(now).unwrap_or_else(|| self.typical.nanos());
        cost(latency, self.in_flight(), self.success(now))
    }

    /// In nanoseconds; `None` without samples.
    pub(crate) fn latency(&self, now: u64) -> Option<f64> {
        self.latency
            .projected(self.typical.nanos(), now, self.decay)
    }

    /// The latency of an endpoint that has answered well. What is known only of cancelled requests must
    /// not become typical: those that were not tried yet would look as bad as one that hangs.
    pub(crate) fn measured_latency(&self, now: u64) -> Option<f64> {
        let (requests, failures) = self.counts();
        self.latency(now).filter(|_| requests > failures)
    }

    pub(crate) fn success(&self, now: u64) -> f64 {
        self.success.ratio(now, self.decay)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Requests, and how many of them were failures: never more.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let failures = self.failures.load(Ordering::Acquire);
        (self.requests.load(Ordering::Relaxed), failures)
    }
}

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

    pub(crate) fn succeeded(&self, latency: u64, now: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.typical.first(latency as f64);
        self.latency.record(latency, now, self.decay);
        self.success.record_success(now, self.decay);
    }

    /// A failure says nothing about latency: one that is quick must not look attractive.
    pub(crate) fn failed(&self, now: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.success.record_failure(now, self.decay);
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

    /// The latency of an endpoint that has answered. What is known only of cancelled requests must
    /// not become typical: those that were not tried yet would look as bad as one that hangs.
    pub(crate) fn measured_latency(&self, now: u64) -> Option<f64> {
        let answered = self.requests() > self.failures();
        self.latency(now).filter(|_| answered)
    }

    pub(crate) fn success(&self, now: u64) -> f64 {
        self.success.ratio(now, self.decay)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

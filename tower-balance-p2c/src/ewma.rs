//! The latency estimate of one endpoint: a peak-sensitive, exponentially weighted moving average
//! over irregular intervals. Lock-free; nanoseconds in, no clock.

use crate::sync::{AtomicU64, Ordering};

/// Jumps up to a sample above it, moves down towards samples below it at the pace of `decay`.
#[derive(Debug)]
pub(crate) struct PeakEwma {
    updated: Updated,
    /// Bits of an `f64` in nanoseconds; NaN until the first sample.
    estimate: AtomicU64,
}

impl PeakEwma {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            updated: Updated::new(now),
            estimate: AtomicU64::new(f64::NAN.to_bits()),
        }
    }

    /// A success took `sample`. The first one is taken as it is.
    pub(crate) fn record(&self, sample: u64, now: u64, decay: u64) {
        let sample = sample as f64;
        let kept = weight(self.updated.claim(now), decay);
        self.update(|estimate| {
            let peak = estimate.is_nan() || sample > estimate;
            Some(if peak {
                sample
            } else {
                estimate * kept + sample * (1.0 - kept)
            })
        });
    }

    /// A request was given up at `age`: its latency is known to be at least that, so it counts
    /// only where that is news. `typical` is what an endpoint without samples is taken for.
    pub(crate) fn record_at_least(&self, age: u64, typical: f64, now: u64, decay: u64) {
        let age = age as f64;
        let kept = weight(self.updated.since(now), decay);
        let raised = self.update(|estimate| {
            let projected = project(estimate, typical, kept).unwrap_or(typical);
            (age > projected).then_some(age)
        });
        if raised {
            self.updated.claim(now);
        }
    }

    /// What the estimate is worth now: left alone, it drifts to `typical`. `None` without samples.
    ///
    /// Reads change nothing, so looking at an endpoint does not make it look better.
    pub(crate) fn projected(&self, typical: f64, now: u64, decay: u64) -> Option<f64> {
        let estimate = f64::from_bits(self.estimate.load(Ordering::Relaxed));
        project(estimate, typical, weight(self.updated.since(now), decay))
    }

    fn update(&self, change: impl Fn(f64) -> Option<f64>) -> bool {
        self.estimate
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
                change(f64::from_bits(bits)).map(f64::to_bits)
            })
            .is_ok()
    }
}

/// The time of the last update. Updates that race each claim a part of the time that has passed,
/// and no part is claimed twice: that is what makes two atomics enough without a lock.
#[derive(Debug)]
pub(crate) struct Updated {
    at: AtomicU64,
}

impl Updated {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            at: AtomicU64::new(now),
        }
    }

    /// Nanoseconds since the last claim, which are the caller's from now on. Zero if the clock
    /// has stepped back.
    pub(crate) fn claim(&self, now: u64) -> u64 {
        now.saturating_sub(self.at.fetch_max(now, Ordering::Relaxed))
    }

    /// Nanoseconds since the last claim, left to whoever claims them.
    pub(crate) fn since(&self, now: u64) -> u64 {
        now.saturating_sub(self.at.load(Ordering::Relaxed))
    }
}

/// How much of an old value is left after `elapsed`: `e^(-elapsed / decay)`.
pub(crate) fn weight(elapsed: u64, decay: u64) -> f64 {
    (-(elapsed as f64) / decay.max(1) as f64).exp()
}

fn project(estimate: f64, typical: f64, kept: f64) -> Option<f64> {
    (!estimate.is_nan()).then_some(typical + (estimate - typical) * kept)
}

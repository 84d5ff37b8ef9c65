//! How far an endpoint is to be trusted: a penalty that failures raise, and that successes and
//! time lower. Lock-free; nanoseconds in, no clock. Latency has no part in it.

use crate::ewma::{Updated, weight};
use crate::sync::{AtomicU64, Ordering};

/// A penalty in `[0, 1)`, where zero is an endpoint that has not failed lately.
#[derive(Debug)]
pub(crate) struct Success {
    updated: Updated,
    /// Bits of an `f64`.
    penalty: AtomicU64,
}

impl Success {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            updated: Updated::new(now),
            penalty: AtomicU64::new(0f64.to_bits()),
        }
    }

    pub(crate) fn is_penalised(&self) -> bool {
        self.penalty.load(Ordering::Relaxed) != 0f64.to_bits()
    }

    pub(crate) fn record_success(&self, now: u64, decay: u64) {
        // The usual case writes nothing.
        if !self.is_penalised() {
            return;
        }
        self.update(now, decay, |penalty| penalty * (1.0 - GAIN));
    }

    pub(crate) fn record_failure(&self, now: u64, decay: u64) {
        self.update(now, decay, |penalty| penalty + (1.0 - penalty) * GAIN);
    }

    /// `1 - penalty`, never below [`FLOOR`]: an endpoint that has failed is asked again some day.
    pub(crate) fn ratio(&self, now: u64, decay: u64) -> f64 {
        let penalty = f64::from_bits(self.penalty.load(Ordering::Relaxed));
        if penalty == 0.0 {
            return 1.0;
        }
        (1.0 - penalty * weight(self.updated.since(now), decay)).clamp(FLOOR, 1.0)
    }

    fn update(&self, now: u64, decay: u64, change: impl Fn(f64) -> f64) {
        let kept = weight(self.updated.claim(now), decay);
        let _ = self
            .penalty
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
                let penalty = change(f64::from_bits(bits) * kept);
                Some(if penalty < NEGLIGIBLE { 0.0 } else { penalty }.to_bits())
            });
    }
}

/// The share of the distance to one (or to zero) that one failure (or success) goes.
const GAIN: f64 = 1.0 / 8.0;
/// A lower ratio would not change a choice, and would only make the way back longer.
pub(crate) const FLOOR: f64 = 0.01;
/// Below this a penalty is none.
const NEGLIGIBLE: f64 = 1e-4;

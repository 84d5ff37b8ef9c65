//! The latency that is typical of a pool: what an endpoint without samples is taken for, and what
//! an idle one drifts to. No clock: whoever finds it old renews it.

use crate::sync::{AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct Typical {
    /// Bits of an `f64` in nanoseconds; NaN until the first sample.
    nanos: AtomicU64,
    renewed_at: AtomicU64,
}

impl Typical {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            nanos: AtomicU64::new(f64::NAN.to_bits()),
            renewed_at: AtomicU64::new(now),
        }
    }

    pub(crate) fn nanos(&self) -> f64 {
        let nanos = f64::from_bits(self.nanos.load(Ordering::Relaxed));
        if nanos.is_nan() { UNKNOWN } else { nanos }
    }

    /// The first sample of all stands for the pool until the first renewal, so that endpoints
    /// without samples are not avoided in the meantime.
    pub(crate) fn first(&self, nanos: f64) {
        let known = self.nanos.load(Ordering::Relaxed);
        if f64::from_bits(known).is_nan() {
            let _ = self.nanos.compare_exchange(
                known,
                nanos.to_bits(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
    }

    /// True for one caller each 100 ms, who is to find the value and [`set`](Self::set) it.
    pub(crate) fn claim_renewal(&self, now: u64) -> bool {
        let renewed_at = self.renewed_at.load(Ordering::Relaxed);
        // `abs_diff`, so that a clock that has stepped back does not put renewals off.
        now.abs_diff(renewed_at) >= RENEWAL
            && self
                .renewed_at
                .compare_exchange(renewed_at, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    pub(crate) fn set(&self, nanos: f64) {
        self.nanos.store(nanos.to_bits(), Ordering::Relaxed);
    }
}

/// The median (the lower of two middle ones) of at most [`MOST_SAMPLED`] estimates.
pub(crate) fn median(estimates: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sampled = [0.0; MOST_SAMPLED];
    let mut count = 0;
    for (slot, estimate) in sampled.iter_mut().zip(estimates) {
        *slot = estimate;
        count += 1;
    }
    let middle = usize::checked_sub(count, 1)? / 2;
    let (_, median, _) = sampled[..count].select_nth_unstable_by(middle, f64::total_cmp);
    Some(*median)
}

pub(crate) const MOST_SAMPLED: usize = 64;

/// Before there is any sample all endpoints are alike, and any number will do: 10 ms.
const UNKNOWN: f64 = 1e7;
pub(crate) const RENEWAL: u64 = 100_000_000;

//! What is typical of a pool: what an endpoint without samples is taken for, what an idle one drifts
//! to, how many of the requests fail, and how many there are. No clock: whoever finds it old
//! renews it.

use crate::sync::{AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct Typical {
    /// Bits of an `f64` in nanoseconds for each place in the queue; NaN until the first sample.
    per_place: AtomicU64,
    /// Likewise, at its best in the last minutes.
    best: AtomicU64,
    /// Bits of an `f64`, the share of requests that fail at the median endpoint.
    failing: AtomicU64,
    /// Bits of an `f64`, requests a second.
    rate: AtomicU64,
    /// Nanoseconds.
    drift: AtomicU64,
    decay: u64,
    served: AtomicU64,
    renewed_at: AtomicU64,
}

impl Typical {
    pub(crate) fn new(now: u64, decay: u64) -> Self {
        Self {
            per_place: AtomicU64::new(f64::NAN.to_bits()),
            best: AtomicU64::new(f64::NAN.to_bits()),
            failing: AtomicU64::new(0f64.to_bits()),
            rate: AtomicU64::new(0f64.to_bits()),
            drift: AtomicU64::new(decay),
            decay,
            served: AtomicU64::new(0),
            renewed_at: AtomicU64::new(now),
        }
    }

    pub(crate) fn per_place(&self) -> f64 {
        let nanos = f64::from_bits(self.per_place.load(Ordering::Relaxed));
        if nanos.is_nan() { UNKNOWN } else { nanos }
    }

    /// What was typical at its best in the last minutes: what endpoints are taken for that others
    /// stand in for, and that would be left alone for ever if these turned slow and were the only
    /// ones that are known.
    pub(crate) fn best(&self) -> f64 {
        let nanos = f64::from_bits(self.best.load(Ordering::Relaxed));
        if nanos.is_nan() {
            self.per_place()
        } else {
            nanos
        }
    }

    /// Whether any endpoint has answered yet.
    pub(crate) fn is_known(&self) -> bool {
        !f64::from_bits(self.per_place.load(Ordering::Relaxed)).is_nan()
    }

    pub(crate) fn failing(&self) -> f64 {
        f64::from_bits(self.failing.load(Ordering::Relaxed))
    }

    /// Requests a second, over the last second or so.
    pub(crate) fn rate(&self) -> f64 {
        f64::from_bits(self.rate.load(Ordering::Relaxed))
    }

    /// The time in which an idle endpoint's estimate loses 63 % of its distance to what is
    /// typical. It is `decay`, but longer where there are few requests: looking again at an
    /// endpoint that was slow costs a slow request, and few must not be many of few.
    pub(crate) fn drift(&self) -> u64 {
        self.drift.load(Ordering::Relaxed)
    }

    pub(crate) fn decay(&self) -> u64 {
        self.decay
    }

    /// The first sample of all stands for the pool until the first renewal, so that endpoints
    /// without samples are not avoided in the meantime.
    pub(crate) fn first(&self, nanos: f64) {
        let known = self.per_place.load(Ordering::Relaxed);
        if f64::from_bits(known).is_nan() {
            let _ = self.per_place.compare_exchange(
                known,
                nanos.to_bits(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
    }

    /// Whether a renewal is due: a cheap look for each request.
    pub(crate) fn is_old(&self, now: u64) -> bool {
        // `abs_diff`, so that a clock that has stepped back does not put renewals off.
        now.abs_diff(self.renewed_at.load(Ordering::Relaxed)) >= RENEWAL
    }

    /// The time since the last renewal, for one caller each 100 ms, who is to find the values and
    /// set them.
    pub(crate) fn claim_renewal(&self, now: u64) -> Option<u64> {
        let renewed_at = self.renewed_at.load(Ordering::Relaxed);
        let due = now.abs_diff(renewed_at) >= RENEWAL
            && self
                .renewed_at
                .compare_exchange(renewed_at, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        due.then(|| now.saturating_sub(renewed_at))
    }

    /// `elapsed` nanoseconds after the last time.
    pub(crate) fn set_per_place(&self, nanos: f64, elapsed: u64) {
        self.per_place.store(nanos.to_bits(), Ordering::Relaxed);
        let best = self.best();
        let kept = crate::latency::fade(elapsed, BEST_FADES_IN);
        let best = (nanos + (best - nanos) * kept).min(nanos);
        self.best.store(best.to_bits(), Ordering::Relaxed);
    }

    pub(crate) fn set_failing(&self, share: f64) {
        self.failing.store(share.to_bits(), Ordering::Relaxed);
    }

    /// `served` requests in all, `elapsed` nanoseconds after it was last said.
    pub(crate) fn set_served(&self, served: u64, elapsed: u64) {
        let before = self.served.swap(served, Ordering::Relaxed);
        if elapsed == 0 {
            return;
        }
        let now = served.saturating_sub(before) as f64 * SECOND / elapsed as f64;
        let gain = 1.0 - crate::latency::fade(elapsed, SECOND as u64);
        let old = self.rate();
        let rate = old + (now - old) * gain;
        self.rate.store(rate.to_bits(), Ordering::Relaxed);
        let patience = (REQUESTS_PER_DRIFT / rate.max(1e-3) * SECOND).min(LONGEST_DRIFT);
        self.drift
            .store(self.decay.max(patience as u64), Ordering::Relaxed);
    }
}

/// The median of at most [`MOST_SAMPLED`] values, of two middle ones the lower.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sampled = [0.0; MOST_SAMPLED];
    let mut count = 0;
    for (slot, value) in sampled.iter_mut().zip(values) {
        *slot = value;
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
const SECOND: f64 = 1e9;
/// At 200 requests a second or more `decay`'s default of 10 s is the longer.
const REQUESTS_PER_DRIFT: f64 = 2_000.0;
/// Five minutes.
const BEST_FADES_IN: u64 = 300_000_000_000;
/// Ten minutes.
const LONGEST_DRIFT: f64 = 600e9;

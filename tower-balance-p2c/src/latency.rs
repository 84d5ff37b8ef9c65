//! What an endpoint's latency says about the next request: an exponentially weighted moving average
//! of the latency for each place in the queue. Lock-free; nanoseconds in, no clock.

use crate::sync::{AtomicU64, Ordering};

/// A latency that was measured behind `ahead` others is divided by `(ahead + 1)^0.625`, so that the
/// average tells what the endpoint needs rather than what its queue made of it: where one request
/// at a time is worked on, latency grows with the queue; where all are, not at all; the exponent
/// lies between the two. The cost multiplies by the queue that is there now. What takes four times
/// as long as that leads one to expect is not the queue's doing, and counts in full.
///
/// A sample counts as eight times the estimate at the most, so that one that is extraordinarily
/// slow (a pause, a big report) is no reason to avoid an endpoint, and a dozen are.
#[derive(Debug)]
pub(crate) struct Latency {
    updated: AtomicU64,
    /// Bits of [`Estimates`].
    estimates: AtomicU64,
}

/// Nanoseconds; NaN until the first sample.
#[derive(Clone, Copy)]
struct Estimates {
    per_place: f64,
    /// With the queue; it is for those who watch.
    whole: f64,
}

impl Latency {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            updated: AtomicU64::new(now),
            estimates: AtomicU64::new(Estimates::both(f64::NAN).to_bits()),
        }
    }

    /// A success took `latency`, behind `ahead` requests that were in flight when it was sent.
    ///
    /// Of two that race one may be lost: it is one sample of many, and a locked instruction less.
    pub(crate) fn record(&self, latency: u64, ahead: u32, now: u64, decay: u64) {
        let elapsed = now.saturating_sub(self.updated.load(Ordering::Relaxed));
        // Up to there what fades is less than that anyway, and a division is saved.
        let gain = if elapsed < decay >> LEAST_GAIN_BITS {
            LEAST_GAIN
        } else {
            (1.0 - fade(elapsed, decay)).max(LEAST_GAIN)
        };
        let latency = float(latency);
        let places = places(ahead);
        let before = self.estimates();
        let expected = before.per_place * places;
        // No queue makes that much of a difference.
        let sample = if latency > expected * MOST_BY_QUEUE {
            latency
        } else {
            latency / places
        };
        // Whoever was slow, and better when it was asked again after a while, has changed: the old
        // estimate has faded meanwhile, and now it is contradicted too.
        let gain = if elapsed > decay / 4 && latency < expected {
            1.0 - (1.0 - gain).powi(4)
        } else {
            gain
        };
        let after = Estimates {
            per_place: average(before.per_place, sample, gain),
            whole: average(before.whole, latency, gain),
        };
        self.estimates.store(after.to_bits(), Ordering::Relaxed);
        self.updated.store(now, Ordering::Relaxed);
    }

    /// A request was given up at `age`: its latency is known to be at least that, so it counts
    /// only where that is news. It then counts in full, however short the queue: what hangs is not
    /// waiting for its turn. `typical` is what an endpoint without samples is taken for.
    pub(crate) fn record_at_least(&self, age: u64, ahead: u32, typical: f64, now: u64, drift: u64) {
        let age = float(age);
        let kept = fade(
            now.saturating_sub(self.updated.load(Ordering::Relaxed)),
            drift,
        );
        let raised = self
            .estimates
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
                let per_place = Estimates::from_bits(bits).per_place;
                let projected = project(per_place, typical, kept).unwrap_or(typical);
                (age > projected * places(ahead)).then(|| Estimates::both(age).to_bits())
            })
            .is_ok();
        if raised {
            self.updated.fetch_max(now, Ordering::Relaxed);
        }
    }

    /// What the estimate for one place is worth now: left alone, it drifts to `typical`. `None`
    /// without samples.
    ///
    /// Reads change nothing, so looking at an endpoint does not make it look better.
    pub(crate) fn per_place(&self, typical: f64, now: u64, drift: u64) -> Option<f64> {
        let estimate = self.estimates().per_place;
        let elapsed = now.saturating_sub(self.updated.load(Ordering::Relaxed));
        project(estimate, typical, fade(elapsed, drift))
    }

    /// The average latency, with the queue that there was. `None` without samples.
    pub(crate) fn whole(&self) -> Option<f64> {
        let whole = self.estimates().whole;
        (!whole.is_nan()).then_some(whole)
    }

    fn estimates(&self) -> Estimates {
        Estimates::from_bits(self.estimates.load(Ordering::Relaxed))
    }
}

impl Estimates {
    fn both(nanos: f64) -> Self {
        Self {
            per_place: nanos,
            whole: nanos,
        }
    }

    /// Half the digits are more than a latency has.
    fn to_bits(self) -> u64 {
        let [per_place, whole] = [self.per_place, self.whole].map(|nanos| (nanos as f32).to_bits());
        u64::from(whole) << 32 | u64::from(per_place)
    }

    fn from_bits(bits: u64) -> Self {
        Self {
            per_place: f32::from_bits(bits as u32).into(),
            whole: f32::from_bits((bits >> 32) as u32).into(),
        }
    }
}

fn average(old: f64, sample: f64, gain: f64) -> f64 {
    if old.is_nan() {
        return sample;
    }
    let most = old.max(LEAST_TO_MULTIPLY) * MOST_TIMES;
    old + (sample.min(most) - old) * gain
}

/// How much of an old value is left after `elapsed`: `e^(-elapsed / decay)`, by a polynomial that
/// is never below it, within 0.1 % of it up to `decay`, and within 2 % up to twice that.
pub(crate) fn fade(elapsed: u64, decay: u64) -> f64 {
    // The usual case for a busy endpoint, without a division.
    if elapsed < decay >> 10 {
        return 1.0;
    }
    // A quarter of the way, four times.
    let x = float(elapsed) / (float(decay.max(1)) * 4.0);
    let quarter = 1.0 / (1.0 + x * (1.0 + x * (0.5 + x * (1.0 / 6.0 + x / 24.0))));
    let half = quarter * quarter;
    half * half
}

/// In one instruction, where all of a `u64` would take seven: what is cut off is beyond 292 years.
#[inline]
pub(crate) fn float(nanos: u64) -> f64 {
    nanos.min(i64::MAX as u64) as i64 as f64
}

/// `(ahead + 1)^0.625`.
pub(crate) fn places(ahead: u32) -> f64 {
    if ahead == 0 {
        return 1.0;
    }
    let root = (f64::from(ahead) + 1.0).sqrt();
    root * root.sqrt().sqrt()
}

fn project(estimate: f64, typical: f64, kept: f64) -> Option<f64> {
    (!estimate.is_nan()).then_some(typical + (estimate - typical) * kept)
}

/// Where samples come faster than time passes, the last 32 or so are what counts.
const LEAST_GAIN: f64 = 1.0 / (1 << LEAST_GAIN_BITS) as f64;
const LEAST_GAIN_BITS: u32 = 5;
const MOST_TIMES: f64 = 8.0;
const MOST_BY_QUEUE: f64 = 4.0;
/// Below a microsecond an estimate says nothing, and multiples of it neither.
const LEAST_TO_MULTIPLY: f64 = 1e3;

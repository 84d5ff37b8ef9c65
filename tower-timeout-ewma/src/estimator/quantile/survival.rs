//! Which share of the requests takes longer than a given time.

use super::buckets::{BUCKETS, Histogram, index, lower};

/// The estimate of Kaplan and Meier, over buckets: a request that was given up counts among those
/// that were waited for until then, and not after.
#[derive(Clone, Debug)]
pub(super) struct Survival {
    /// At the lower end of each bucket, and at the upper end of the last.
    shares: [f64; BUCKETS + 1],
}

impl Survival {
    pub(super) fn of(answered: &Histogram, censored: &Histogram) -> Self {
        let mut waited: f64 = answered.iter().chain(censored).sum();
        let mut shares = [1.0; BUCKETS + 1];
        for bucket in 0..BUCKETS {
            let left = if waited > TRACE {
                1.0 - answered[bucket] / waited
            } else {
                1.0
            };
            shares[bucket + 1] = shares[bucket] * left.max(0.0);
            waited -= answered[bucket] + censored[bucket];
        }
        Self { shares }
    }

    /// The share that takes longer than `nanos`.
    pub(super) fn at(&self, nanos: f64) -> f64 {
        let bucket = index(nanos as u64);
        let [before, after] = self.around(bucket);
        if before <= after {
            return before;
        }
        let (from, until) = (lower(bucket), lower(bucket + 1));
        let part = ((nanos - from) / (until - from)).clamp(0.0, 1.0);
        before + (after - before) * part
    }

    /// The age that no more than `share` outlive, in nanoseconds, as far as it is known.
    pub(super) fn age(&self, share: f64) -> Option<f64> {
        let reached = self.shares.iter().position(|&left| left <= share)?;
        let bucket = reached.checked_sub(1)?;
        let [before, after] = self.around(bucket);
        // Latencies thin out within a bucket: straight lines would come out too long.
        let part = (before / share).ln() / (before / after.max(share / STEEPEST)).ln();
        let (from, until) = (lower(bucket), lower(bucket + 1));
        Some(from + (until - from) * part.clamp(0.0, 1.0))
    }

    /// The share that outlives all that is known.
    pub(super) fn last(&self) -> f64 {
        self.shares[BUCKETS]
    }

    /// The age of the last answer.
    pub(super) fn end(&self) -> f64 {
        let last = self.last();
        let end = self.shares.iter().position(|&share| share <= last);
        lower(end.unwrap_or(BUCKETS))
    }

    /// At both ends of a bucket.
    pub(super) fn around(&self, bucket: usize) -> [f64; 2] {
        [self.shares[bucket], self.shares[bucket + 1]]
    }
}

/// Less than this is what rounding has left.
const TRACE: f64 = 1e-6;
/// What ends within one bucket is taken to fall by no more than this factor below the share.
const STEEPEST: f64 = 20.0;

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Counts durations in buckets that double: from half a millisecond to two minutes, or from another
/// bound on.
///
/// Written without a lock, unlike the library's own histogram, because every request writes here.
#[derive(Debug)]
pub(super) struct Histogram {
    buckets: [AtomicU64; BOUNDS],
    sum_nanos: AtomicU64,
    first_bound_nanos: u64,
}

/// A histogram as it was read.
#[derive(Debug)]
pub(super) struct Reading {
    /// Upper bound in seconds, and the count within this bucket alone.
    pub(super) buckets: Vec<(f64, u64)>,
    pub(super) count: u64,
    pub(super) sum_seconds: f64,
}

impl Histogram {
    /// The first bucket holds what is no longer than `first_bound`.
    pub(super) fn from(first_bound: Duration) -> Self {
        Self {
            buckets: Default::default(),
            sum_nanos: AtomicU64::new(0),
            first_bound_nanos: first_bound.as_nanos() as u64,
        }
    }

    pub(super) fn observe(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let doublings =
            u64::BITS - (nanos.saturating_sub(1) / self.first_bound_nanos).leading_zeros();
        let bucket = (doublings as usize).min(BOUNDS - 1);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_nanos.fetch_add(nanos, Relaxed);
    }

    pub(super) fn read(&self) -> Reading {
        let counts: Vec<u64> = self
            .buckets
            .iter()
            .map(|bucket| bucket.load(Relaxed))
            .collect();
        let buckets = counts
            .iter()
            .enumerate()
            .map(|(index, &count)| (self.bound(index), count));
        Reading {
            buckets: buckets.collect(),
            count: counts.iter().sum(),
            sum_seconds: Duration::from_nanos(self.sum_nanos.load(Relaxed)).as_secs_f64(),
        }
    }

    /// Infinite for the last bucket.
    fn bound(&self, index: usize) -> f64 {
        if index == BOUNDS - 1 {
            return f64::INFINITY;
        }
        Duration::from_nanos(self.first_bound_nanos << index).as_secs_f64()
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::from(FIRST_BOUND)
    }
}

const FIRST_BOUND: Duration = Duration::from_micros(500);
const BOUNDS: usize = 19;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        let durations = [0, 500_000, 500_001, 1_000_000, 1_000_001, u64::MAX];
        for nanos in durations {
            histogram.observe(Duration::from_nanos(nanos));
        }
        let reading = histogram.read();
        let filled: Vec<_> = reading
            .buckets
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(
            filled,
            [(0.0005, 2), (0.001, 2), (0.002, 1), (f64::INFINITY, 1)]
        );
        assert_eq!(reading.count, durations.len() as u64);
    }
}

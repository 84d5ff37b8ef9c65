//! What requests write down, each thread in a lane of its own.

use std::array;

use super::{
    buckets::{BUCKETS, index},
    slots::{SLOT_BITS, SLOTS, slot},
};
use crate::sync::{AtomicU64, Ordering::Relaxed, lane_count, thread_number};

/// Counts that only grow: who reads them remembers what they were. So nothing is lost between a
/// reading and a reset, and reading writes nothing.
///
/// `tower-retry-budget` and `tower-balance-p2c` have lanes too. They stay apart on purpose: no crate
/// depends on another.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Box<[Lane]>,
}

/// On cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Lane {
    /// By latency.
    answered: [AtomicU64; BUCKETS],
    /// By the age at which they were given up.
    censored: [AtomicU64; BUCKETS],
    /// By the slot of their start: how many have started, times 2^32, and how many of them have
    /// ended.
    flights: [AtomicU64; SLOTS],
}

/// The sums of all lanes.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) answered: [u64; BUCKETS],
    pub(super) censored: [u64; BUCKETS],
    pub(super) started: [u32; SLOTS],
    pub(super) ended: [u32; SLOTS],
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            lanes: (0..lane_count()).map(|_| Lane::new()).collect(),
        }
    }

    #[inline]
    pub(super) fn answered(&self, nanos: u64) {
        self.lane().answered[index(nanos)].fetch_add(1, Relaxed);
    }

    #[inline]
    pub(super) fn censored(&self, nanos: u64) {
        self.lane().censored[index(nanos)].fetch_add(1, Relaxed);
    }

    /// A request of this start is waited for.
    #[inline]
    pub(super) fn started(&self, start: u64) {
        self.lane().flights[slot(start)].fetch_add(1 << 32, Relaxed);
    }

    /// It is waited for no more. By and by its slot belongs to later ones, so its end is told in time
    /// or not at all.
    #[inline]
    pub(super) fn ended(&self, start: u64, now: u64) {
        if now.saturating_sub(start) >> SLOT_BITS < SLOTS as u64 / 2 - 1 {
            self.lane().flights[slot(start)].fetch_add(1, Relaxed);
        }
    }

    pub(super) fn all_answered(&self) -> u64 {
        let counts = self.lanes.iter().flat_map(|lane| &lane.answered);
        counts.map(|count| count.load(Relaxed)).sum()
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        for lane in &self.lanes {
            add(&mut counts.answered, &lane.answered);
            add(&mut counts.censored, &lane.censored);
            for (slot, flights) in lane.flights.iter().enumerate() {
                let flights = flights.load(Relaxed);
                counts.started[slot] = counts.started[slot].wrapping_add((flights >> 32) as u32);
                counts.ended[slot] = counts.ended[slot].wrapping_add(flights as u32);
            }
        }
        counts
    }

    #[inline]
    fn lane(&self) -> &Lane {
        &self.lanes[thread_number() & (self.lanes.len() - 1)]
    }
}

impl Lane {
    fn new() -> Self {
        Self {
            answered: array::from_fn(|_| AtomicU64::new(0)),
            censored: array::from_fn(|_| AtomicU64::new(0)),
            flights: array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Counts {
    pub(super) const fn new() -> Self {
        Self {
            answered: [0; BUCKETS],
            censored: [0; BUCKETS],
            started: [0; SLOTS],
            ended: [0; SLOTS],
        }
    }
}

fn add(sums: &mut [u64], counts: &[AtomicU64]) {
    for (sum, count) in sums.iter_mut().zip(counts) {
        *sum += count.load(Relaxed);
    }
}

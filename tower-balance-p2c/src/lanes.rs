//! Reference counts and counters that threads do not share.
//!
//! A request keeps its pool alive. Were that one reference count for all of them, each request
//! would write to it twice, and threads would spend their time passing its cache line around. So
//! there are as many as there are cores, all of them held by the handles, and a request takes that
//! of its thread.

use std::{
    cell::Cell,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

#[derive(Debug)]
pub(crate) struct Lanes<P> {
    lanes: Box<[Arc<Lane<P>>]>,
}

/// On cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Lane<P> {
    pub(crate) pool: Arc<P>,
}

impl<P> Lanes<P> {
    pub(crate) fn new(pool: P) -> Self {
        let pool = Arc::new(pool);
        let lanes = (0..lane_count()).map(|_| {
            Arc::new(Lane {
                pool: Arc::clone(&pool),
            })
        });
        Self {
            lanes: lanes.collect(),
        }
    }

    pub(crate) fn pool(&self) -> &P {
        &self.lanes[0].pool
    }

    /// That of the current thread.
    pub(crate) fn lane(&self) -> &Arc<Lane<P>> {
        &self.lanes[thread_number() & (self.lanes.len() - 1)]
    }
}

/// A sum to which each thread adds at its own place.
#[derive(Debug)]
pub(crate) struct Sum {
    parts: Box<[Part]>,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Part(AtomicU64);

impl Sum {
    pub(crate) fn new() -> Self {
        Self {
            parts: (0..lane_count()).map(|_| Part::default()).collect(),
        }
    }

    pub(crate) fn add_one(&self) {
        let part = &self.parts[thread_number() & (self.parts.len() - 1)];
        part.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn total(&self) -> u64 {
        let parts = self.parts.iter().map(|part| part.0.load(Ordering::Relaxed));
        parts.fold(0, u64::wrapping_add)
    }
}

/// A power of two.
fn lane_count() -> usize {
    thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(MOST_LANES)
        .next_power_of_two()
}

fn thread_number() -> usize {
    NUMBER.with(|number| {
        if let Some(number) = number.get() {
            return number;
        }
        let new = NEXT.fetch_add(1, Ordering::Relaxed);
        number.set(Some(new));
        new
    })
}

const MOST_LANES: usize = 64;

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
}

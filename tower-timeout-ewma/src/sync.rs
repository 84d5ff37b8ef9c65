//! What the estimator knows of threads, in one place: the loom tests put theirs here.

pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};
use std::{cell::Cell, num::NonZero, sync::atomic::AtomicUsize, thread::available_parallelism};

/// One for each core: a power of two.
pub(crate) fn lane_count() -> usize {
    available_parallelism()
        .map_or(1, NonZero::get)
        .min(MOST_LANES)
        .next_power_of_two()
}

/// The number of the current thread: they are numbered from 0, as they ask.
#[inline]
pub(crate) fn thread_number() -> usize {
    NUMBER.with(|number| {
        if let Some(number) = number.get() {
            return number;
        }
        let new = NEXT.fetch_add(1, Ordering::Relaxed);
        number.set(Some(new));
        new
    })
}

const MOST_LANES: usize = 16;

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
}

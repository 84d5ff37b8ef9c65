//! What loom has in place of the atomics, and thread numbers, for cores that are compiled a second
//! time.

use std::cell::Cell;

pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};
use loom::thread::{self, JoinHandle};

pub(crate) fn lane_count() -> usize {
    2
}

pub(crate) fn thread_number() -> usize {
    NUMBER.with(Cell::get)
}

/// A thread with a lane of its own: the main thread has lane 0.
#[allow(dead_code, reason = "not every test has threads with lanes")]
pub(crate) fn spawn<T: 'static>(run: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
    thread::spawn(move || {
        NUMBER.with(|number| number.set(1));
        run()
    })
}

loom::thread_local! {
    static NUMBER: Cell<usize> = Cell::new(0);
}

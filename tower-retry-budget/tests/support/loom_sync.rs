//! The atomics and the thread numbers of loom, for cores that are compiled a second time.

use std::cell::Cell;

pub(crate) use loom::sync::atomic::*;
use loom::thread::{self, JoinHandle};

pub(crate) fn lane_count() -> usize {
    2
}

pub(crate) fn thread_number() -> usize {
    NUMBER.with(Cell::get)
}

/// A thread with a lane of its own: those of the main thread are counted in lane 0.
pub(crate) fn spawn<T: 'static>(run: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
    thread::spawn(move || {
        NUMBER.with(|number| number.set(1));
        run()
    })
}

loom::thread_local! {
    static NUMBER: Cell<usize> = Cell::new(0);
}

//! What happens next: the only clock of a simulation is the heap of what is due.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use super::{endpoint::Answer, tasks::TaskId};

/// Nanoseconds since the simulation began.
pub(super) type Nanos = u64;

/// Seconds as nanoseconds.
pub(super) fn seconds(seconds: f64) -> Nanos {
    (seconds * NANOS_PER_SECOND) as Nanos
}

/// Something that is due at its time.
pub(super) enum Event {
    /// A client sends a request.
    Arrival,
    /// A server ends a request, unless its schedule has another version by now.
    Finish { server: usize, version: u64 },
    /// An answer that no worker has to work for.
    Answer(Answer),
    /// A client has waited long enough.
    Timeout(TaskId),
    /// A line of the scenario's plan.
    Condition(usize),
}

/// Events by time; those of one time in the order in which they were planned.
#[derive(Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<Entry>>,
    planned: u64,
}

impl Agenda {
    pub(super) fn plan(&mut self, at: Nanos, event: Event) {
        self.planned += 1;
        let order = (at, self.planned);
        self.heap.push(Reverse(Entry { order, event }));
    }

    pub(super) fn pop(&mut self) -> Option<(Nanos, Event)> {
        let Reverse(Entry { order, event }) = self.heap.pop()?;
        Some((order.0, event))
    }
}

struct Entry {
    order: (Nanos, u64),
    event: Event,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.cmp(&other.order)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Entry {}

const NANOS_PER_SECOND: f64 = 1e9;

//! The futures of a simulation, each polled again only when it was woken.
//!
//! A request is not a task of the runtime: the loop decides when it is polled, at the very
//! nanosecond of its answer, and drops it when its client gives up.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use super::{endpoint::lock, event::Nanos};

/// How a future ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Answered,
    Failed,
    /// It was no request.
    Background,
}

pub(super) type Task = Pin<Box<dyn Future<Output = Ended>>>;

/// A task's place, and which of its tenants it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct TaskId {
    slot: usize,
    tenant: u64,
}

/// A task that has ended, and when it began.
pub(super) struct Finished {
    pub(super) begun: Nanos,
    pub(super) ended: Ended,
}

/// A slab of tasks, and a list of those that were woken.
#[derive(Default)]
pub(super) struct Tasks {
    slots: Vec<Slot>,
    free: Vec<usize>,
    woken: Arc<Mutex<Vec<usize>>>,
    batch: Vec<usize>,
}

struct Slot {
    task: Option<Task>,
    tenant: u64,
    begun: Nanos,
    waker: Waker,
    flag: Arc<Flag>,
}

struct Flag {
    slot: usize,
    raised: AtomicBool,
    woken: Arc<Mutex<Vec<usize>>>,
}

impl Tasks {
    /// Stores a task, to be polled by the next `poll_woken`.
    pub(super) fn spawn(&mut self, task: Task, begun: Nanos) -> TaskId {
        let slot = self.free.pop().unwrap_or_else(|| self.grow());
        let tenant = &mut self.slots[slot];
        tenant.task = Some(task);
        tenant.begun = begun;
        tenant.waker.wake_by_ref();
        TaskId {
            slot,
            tenant: tenant.tenant,
        }
    }

    /// Drops a task before its end. `None` if it has ended already.
    pub(super) fn cancel(&mut self, id: TaskId) -> Option<Nanos> {
        let slot = &mut self.slots[id.slot];
        if slot.tenant != id.tenant {
            return None;
        }
        let begun = slot.begun;
        self.vacate(id.slot);
        Some(begun)
    }

    /// Polls what was woken, once each. False if nothing was.
    pub(super) fn poll_woken(&mut self, mut finished: impl FnMut(Finished)) -> bool {
        let mut batch = mem::take(&mut self.batch);
        mem::swap(&mut batch, &mut *lock(&self.woken));
        let any = !batch.is_empty();
        for slot in batch.drain(..) {
            if let Some(end) = self.poll(slot) {
                finished(end);
            }
        }
        self.batch = batch;
        any
    }

    /// Drops all tasks; returns when those began that have not ended.
    pub(super) fn clear(&mut self) -> Vec<Nanos> {
        let unfinished = self.slots.drain(..).filter(|slot| slot.task.is_some());
        unfinished.map(|slot| slot.begun).collect()
    }

    fn poll(&mut self, index: usize) -> Option<Finished> {
        let slot = &mut self.slots[index];
        slot.flag.raised.store(false, Ordering::Relaxed);
        let mut cx = Context::from_waker(&slot.waker);
        let Poll::Ready(ended) = slot.task.as_mut()?.as_mut().poll(&mut cx) else {
            return None;
        };
        let begun = slot.begun;
        self.vacate(index);
        Some(Finished { begun, ended })
    }

    fn vacate(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        slot.task = None;
        slot.tenant += 1;
        self.free.push(index);
    }

    fn grow(&mut self) -> usize {
        let slot = self.slots.len();
        let flag = Arc::new(Flag {
            slot,
            raised: AtomicBool::new(false),
            woken: Arc::clone(&self.woken),
        });
        self.slots.push(Slot {
            task: None,
            tenant: 0,
            begun: 0,
            waker: Waker::from(Arc::clone(&flag)),
            flag,
        });
        slot
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.raised.swap(true, Ordering::Relaxed) {
            lock(&self.woken).push(self.slot);
        }
    }
}

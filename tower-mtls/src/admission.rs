//! Which connections of a server may shake hands, and which are let go to make room for others.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Waker},
    time::Duration,
};

use tokio::time::Instant;

/// The connections between their arrival and the end of their handshake.
///
/// A slot is for the part of a handshake that costs this side something: from the client's first message on.
/// Until then, and while all slots are taken, a connection waits. Room is made for newcomers: they are
/// the likeliest to be answered in time, while whoever holds connections open without going on is old.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) max_handshakes: usize,
    pub(crate) max_waiting: usize,
    /// How long a slot is kept for a handshake when others want it.
    pub(crate) patience: Duration,
    queue: Mutex<Queue>,
}

/// One connection's place; it is given back when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    admission: Arc<Admission>,
    number: u64,
}

/// What becomes of a wish for a slot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Granted,
    /// Ask again at this time, or when woken.
    Wait(Instant),
    Shed,
}

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    places: HashMap<u64, Place>,
    /// Those without a slot, by arrival; and those of them that want one.
    waiting: BTreeSet<u64>,
    wanting: BTreeSet<u64>,
    /// Those with a slot, by the time at which they got it.
    running: BTreeSet<(Instant, u64)>,
    /// Tasks to wake, and wakers to drop, once the lock is released: either may drop another ticket.
    woken: Vec<Waker>,
    replaced: Option<Waker>,
}

#[derive(Debug)]
struct Place {
    stage: Stage,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Waiting,
    Running(Instant),
    Shed,
}

impl Admission {
    pub(crate) fn new(max_handshakes: usize, max_waiting: usize, patience: Duration) -> Self {
        Self {
            max_handshakes,
            max_waiting,
            patience,
            queue: Mutex::default(),
        }
    }

    /// A place among those who wait; the oldest of them loses its own where there are too many.
    pub(crate) fn enter(self: &Arc<Self>) -> Ticket {
        let number = self.with(|queue| queue.enter(self.max_waiting));
        Ticket {
            admission: self.clone(),
            number,
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = work(&mut queue);
        let (woken, _replaced) = (std::mem::take(&mut queue.woken), queue.replaced.take());
        drop(queue);
        woken.into_iter().for_each(Waker::wake);
        outcome
    }
}

impl Ticket {
    /// Whether this place was given to another connection; if not, the task is woken when it is.
    pub(crate) fn is_shed(&self, cx: &mut Context<'_>) -> bool {
        self.admission.with(|queue| queue.watch(self.number, cx))
    }

    /// Asks for a slot. From `Granted` on it is this connection's, until it is shed or dropped.
    pub(crate) fn poll_slot(&self, cx: &mut Context<'_>, now: Instant) -> Slot {
        let (slots, patience) = (self.admission.max_handshakes, self.admission.patience);
        self.admission.with(|queue| {
            if queue.watch(self.number, cx) {
                return Slot::Shed;
            }
            if queue.waiting.contains(&self.number) {
                queue.wanting.insert(self.number);
            }
            queue.fill(slots, now);
            while let Some(late) = queue.late(now, patience) {
                if !queue.wanting.contains(&self.number) {
                    break;
                }
                queue.shed(late);
                queue.fill(slots, now);
            }
            match (queue.wanting.contains(&self.number), queue.running.first()) {
                (true, Some((since, _))) => Slot::Wait(*since + patience),
                _ => Slot::Granted,
            }
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let slots = self.admission.max_handshakes;
        self.admission.with(|queue| {
            queue.leave(self.number);
            queue.fill(slots, Instant::now());
        });
    }
}

impl Queue {
    fn enter(&mut self, max_waiting: usize) -> u64 {
        if self.waiting.len() >= max_waiting
            && let Some(&oldest) = self.waiting.first()
        {
            self.shed(oldest);
        }
        let number = self.next;
        self.next += 1;
        self.waiting.insert(number);
        let place = Place {
            stage: Stage::Waiting,
            waker: None,
        };
        self.places.insert(number, place);
        number
    }

    fn leave(&mut self, number: u64) {
        self.waiting.remove(&number);
        self.wanting.remove(&number);
        let Some(place) = self.places.remove(&number) else {
            return;
        };
        self.replaced = place.waker;
        if let Stage::Running(since) = place.stage {
            self.running.remove(&(since, number));
        }
    }

    /// The one that has had its slot for the longest, if others may have it now.
    fn late(&self, now: Instant, patience: Duration) -> Option<u64> {
        let &(since, number) = self.running.first()?;
        (now.saturating_duration_since(since) >= patience).then_some(number)
    }

    fn shed(&mut self, number: u64) {
        self.waiting.remove(&number);
        self.wanting.remove(&number);
        if let Some(&Place {
            stage: Stage::Running(since),
            ..
        }) = self.places.get(&number)
        {
            self.running.remove(&(since, number));
        }
        self.move_to(number, Stage::Shed);
    }

    /// Gives the free slots away, to the newest first.
    fn fill(&mut self, max_handshakes: usize, now: Instant) {
        while self.running.len() < max_handshakes
            && let Some(newest) = self.wanting.pop_last()
        {
            self.waiting.remove(&newest);
            self.running.insert((now, newest));
            self.move_to(newest, Stage::Running(now));
        }
    }

    fn move_to(&mut self, number: u64, stage: Stage) {
        if let Some(place) = self.places.get_mut(&number) {
            place.stage = stage;
            self.woken.extend(place.waker.take());
        }
    }

    /// Remembers the task, and tells whether the place is lost.
    fn watch(&mut self, number: u64, cx: &mut Context<'_>) -> bool {
        let Some(place) = self.places.get_mut(&number) else {
            return true;
        };
        let is_same = |waker: &Waker| waker.will_wake(cx.waker());
        if !place.waker.as_ref().is_some_and(is_same) {
            self.replaced = place.waker.replace(cx.waker().clone());
        }
        matches!(place.stage, Stage::Shed)
    }
}

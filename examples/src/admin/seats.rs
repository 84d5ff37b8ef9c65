//! So many connections at once, and room for a new one at the cost of one that is idle.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::{Notify, oneshot};

/// A bounded number of seats.
#[derive(Clone, Debug)]
pub(super) struct Seats(Arc<Shared>);

/// A connection's seat, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    occupant: Occupant,
    wanted: oneshot::Receiver<()>,
}

/// Who sits there.
#[derive(Clone, Debug)]
pub(super) struct Occupant {
    id: u64,
    seats: Seats,
}

pin_project! {
    /// An answer; its connection keeps its seat while there is something left to send.
    #[derive(Debug)]
    pub(super) struct Sending<B> {
        #[pin]
        body: B,
        busy: Busy,
    }
}

/// Nobody takes the seat until this is dropped.
#[derive(Debug)]
struct Busy(Occupant);

#[derive(Debug)]
struct Shared {
    limit: usize,
    taken: Mutex<Taken>,
    changed: Notify,
}

/// Dropping a sender tells the connection to leave.
#[derive(Debug, Default)]
struct Taken {
    next: u64,
    /// The one that has waited for longest is the first.
    idle: VecDeque<(u64, oneshot::Sender<()>)>,
    busy: HashMap<u64, oneshot::Sender<()>>,
}

impl Seats {
    pub(super) fn new(limit: usize) -> Self {
        Self(Arc::new(Shared {
            limit,
            taken: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    /// A free seat, else that of the connection that has been idle for longest, else the next that
    /// becomes either.
    pub(super) async fn take(&self) -> Seat {
        loop {
            if let Some(seat) = self.try_take() {
                return seat;
            }
            self.0.changed.notified().await;
        }
    }

    fn try_take(&self) -> Option<Seat> {
        let mut taken = self.taken();
        if taken.idle.len() + taken.busy.len() >= self.0.limit {
            taken.idle.pop_front()?;
        }
        let id = taken.next;
        taken.next += 1;
        let (leave, wanted) = oneshot::channel();
        taken.idle.push_back((id, leave));
        let occupant = Occupant {
            id,
            seats: self.clone(),
        };
        Some(Seat { occupant, wanted })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    pub(super) fn occupant(&self) -> Occupant {
        self.occupant.clone()
    }

    /// Waits until the seat is given to somebody else.
    pub(super) async fn wanted(&mut self) {
        // The sender is only ever dropped.
        let _ = (&mut self.wanted).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Occupant { id, seats } = &self.occupant;
        let mut taken = seats.taken();
        taken.busy.remove(id);
        taken.idle.retain(|(idle, _)| idle != id);
        drop(taken);
        seats.0.changed.notify_one();
    }
}

impl Occupant {
    /// Keeps the seat until `body` has been sent.
    pub(super) fn sending<B>(self, body: B) -> Sending<B> {
        let busy = self.busy();
        Sending { body, busy }
    }

    fn busy(self) -> Busy {
        let mut taken = self.seats.taken();
        if let Some(at) = taken.idle.iter().position(|(idle, _)| *idle == self.id)
            && let Some((id, leave)) = taken.idle.remove(at)
        {
            taken.busy.insert(id, leave);
        }
        drop(taken);
        Busy(self)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Occupant { id, seats } = &self.0;
        let mut taken = seats.taken();
        if let Some(leave) = taken.busy.remove(id) {
            taken.idle.push_back((*id, leave));
        }
        drop(taken);
        seats.0.changed.notify_one();
    }
}

impl<B: Body> Body for Sending<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::{assert_pending, assert_ready, task::spawn};

    use super::*;

    #[test]
    fn whoever_has_been_idle_for_longest_makes_room() {
        let seats = Seats::new(2);
        let mut first = spawn_seat(&seats);
        let mut second = spawn_seat(&seats);
        // The first has answered something since: the second has been idle for longer.
        drop(first.occupant().busy());
        let mut third = spawn_seat(&seats);
        assert!(is_wanted(&mut second));
        assert!(!is_wanted(&mut first) && !is_wanted(&mut third));
    }

    #[test]
    fn nobody_who_is_answered_makes_room() {
        let seats = Seats::new(2);
        let mut first = spawn_seat(&seats);
        let second = spawn_seat(&seats);
        let (busy, also_busy) = (first.occupant().busy(), second.occupant().busy());
        let mut taking = spawn(seats.take());
        assert_pending!(taking.poll());
        assert!(!is_wanted(&mut first));
        drop(busy);
        assert!(taking.is_woken());
        assert_ready!(taking.poll());
        assert!(is_wanted(&mut first));
        drop(also_busy);
    }

    #[test]
    fn a_seat_is_free_when_its_connection_has_ended() {
        let seats = Seats::new(1);
        let first = spawn_seat(&seats);
        let busy = first.occupant().busy();
        let mut taking = spawn(seats.take());
        assert_pending!(taking.poll());
        drop(first);
        assert!(taking.is_woken());
        let mut second = assert_ready!(taking.poll());
        drop(busy);
        assert!(!is_wanted(&mut second));
        assert_eq!(seats.taken().idle.len(), 1);
    }

    fn spawn_seat(seats: &Seats) -> Seat {
        assert_ready!(spawn(seats.take()).poll())
    }

    fn is_wanted(seat: &mut Seat) -> bool {
        spawn(seat.wanted()).poll().is_ready()
    }
}

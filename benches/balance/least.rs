//! The least that a balancer can do which is shared, chooses when a request is polled, and learns from
//! what it takes: two clock reads, the set, two draws, a count of requests in flight, an average.
//!
//! No health, no readiness, no weights, no waiting, no settings: a bound from below for what any
//! such balancer costs, and so for what can be asked of ours.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::{Future, Ready},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use arc_swap::ArcSwap;
use benches::service::Bare;
use rand::{RngExt as _, rngs::SmallRng};
use tokio::time::Instant;
use tower::Service;

type Set = ArcSwap<Vec<Arc<Slot>>>;

#[derive(Clone)]
pub(super) struct Least(Arc<Set>);

struct Slot {
    service: Bare,
    in_flight: AtomicU64,
    nanos: AtomicU64,
}

pub(super) struct Sent {
    set: Arc<Set>,
    flight: Option<Flight>,
}

/// In flight until it is dropped.
struct Flight {
    slot: Arc<Slot>,
    begun: Instant,
    answer: Ready<Result<(), Infallible>>,
}

impl Least {
    pub(super) fn new(endpoints: usize) -> Self {
        let slots = (0..endpoints).map(|_| {
            Arc::new(Slot {
                service: Bare,
                in_flight: AtomicU64::new(0),
                nanos: AtomicU64::new(1_000),
            })
        });
        Self(Arc::new(ArcSwap::from_pointee(slots.collect())))
    }
}

impl Service<()> for Least {
    type Response = ();
    type Error = Infallible;
    type Future = Sent;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Sent {
        Sent {
            set: Arc::clone(&self.0),
            flight: None,
        }
    }
}

impl Future for Sent {
    type Output = Result<(), Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let flight = this.flight.get_or_insert_with(|| choose(&this.set));
        let result = ready!(Pin::new(&mut flight.answer).poll(cx));
        let took = Instant::now().saturating_duration_since(flight.begun);
        let nanos = took.as_nanos() as u64;
        let before = flight.slot.nanos.load(Ordering::Relaxed);
        let after = before - before / 32 + nanos / 32;
        flight.slot.nanos.store(after, Ordering::Relaxed);
        this.flight = None;
        Poll::Ready(result)
    }
}

fn choose(set: &Set) -> Flight {
    let begun = Instant::now();
    let slots = set.load();
    let (one, other) = GENERATOR.with_borrow_mut(|generator| {
        let rng = generator.get_or_insert_with(|| rand::make_rng());
        let one = rng.random_range(0..slots.len());
        let step = rng.random_range(1..slots.len());
        (&slots[one], &slots[(one + step) % slots.len()])
    });
    let slot = if one.cost() <= other.cost() {
        one
    } else {
        other
    };
    slot.in_flight.fetch_add(1, Ordering::Relaxed);
    Flight {
        slot: Arc::clone(slot),
        begun,
        answer: { slot.service }.call(()),
    }
}

impl Slot {
    fn cost(&self) -> u64 {
        self.nanos.load(Ordering::Relaxed) * (self.in_flight.load(Ordering::Relaxed) + 1)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.slot.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

thread_local! {
    static GENERATOR: RefCell<Option<SmallRng>> = const { RefCell::new(None) };
}

//! Every waiter has its own waker.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Wake, Waker},
    time::Duration,
};

use self::waiters::{Waiters, wake_all};

#[path = "../src/waiters.rs"]
mod waiters;

#[test]
fn all_are_woken_and_then_nobody_waits() {
    let mut waiters = Waiters::default();
    let wakers: Vec<_> = (0..64).map(|_| Counter::new()).collect();
    for (_, waker) in &wakers {
        assert!(waiters.register(&mut None, waker, None).is_none());
    }
    assert!(waiters.any());
    waiters.take_all().into_iter().for_each(Waker::wake);
    assert!(!waiters.any());
    for (counter, _) in &wakers {
        assert_eq!(counter.wakes(), 1);
    }
}

#[test]
fn the_waker_of_the_last_poll_counts() {
    let mut waiters = Waiters::default();
    let (first, first_waker) = Counter::new();
    let (second, second_waker) = Counter::new();
    let mut key = None;
    assert!(waiters.register(&mut key, &first_waker, None).is_none());
    assert!(waiters.register(&mut key, &first_waker, None).is_none());
    assert!(waiters.register(&mut key, &second_waker, None).is_some());
    waiters.take_all().into_iter().for_each(Waker::wake);
    assert_eq!((first.wakes(), second.wakes()), (0, 1));
}

#[test]
fn whoever_leaves_is_neither_woken_nor_counted() {
    let mut waiters = Waiters::default();
    let (gone, gone_waker) = Counter::new();
    let (there, there_waker) = Counter::new();
    let (mut gone_key, mut there_key) = (None, None);
    waiters.register(&mut gone_key, &gone_waker, None);
    waiters.register(&mut there_key, &there_waker, None);
    assert!(waiters.remove(&mut gone_key).is_some());
    assert!(waiters.any());
    waiters.take_all().into_iter().for_each(Waker::wake);
    assert_eq!((gone.wakes(), there.wakes()), (0, 1));
}

#[test]
fn waits_end_in_the_order_in_which_they_began() {
    let mut waiters = Waiters::default();
    let wakers: Vec<_> = (0..6).map(|_| Counter::new()).collect();
    let mut keys = [None; 6];
    for (second, (_, waker)) in wakers.iter().enumerate() {
        let until = Duration::from_secs(second as u64);
        waiters.register(&mut keys[second], waker, Some(until));
    }
    let wakes = || -> Vec<_> { wakers.iter().map(|(counter, _)| counter.wakes()).collect() };
    wake_all(waiters.take_expired(Duration::from_millis(1999)));
    assert_eq!(wakes(), [1, 1, 0, 0, 0, 0]);
    assert_eq!(waiters.earliest(), Some(Duration::from_secs(2)));
    let (key, waker) = waiters.take_first().unwrap();
    assert_eq!(Some(key), keys[2]);
    waker.wake();
    wake_all(waiters.take_all_but(1));
    assert_eq!(wakes(), [1, 1, 1, 0, 1, 1]);
    wake_all(waiters.take_all_but(1));
    assert_eq!(waiters.len(), 1);
    wake_all(waiters.take_all_but(0));
    assert_eq!(wakes(), [1; 6]);
}

#[test]
fn a_key_that_was_woken_belongs_to_nobody_else() {
    let mut waiters = Waiters::default();
    let (_, waker) = Counter::new();
    let mut woken = None;
    waiters.register(&mut woken, &waker, None);
    waiters.take_all();
    waiters.register(&mut None, &waker, None);
    assert!(waiters.remove(&mut woken).is_none());
    assert!(waiters.any(), "it took the place of another");
}

struct Counter(AtomicUsize);

impl Counter {
    fn new() -> (Arc<Self>, Waker) {
        let counter = Arc::new(Self(AtomicUsize::new(0)));
        (counter.clone(), counter.into())
    }

    fn wakes(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

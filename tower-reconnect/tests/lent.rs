//! What is lent lives as long as any who has it, and no longer.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

use self::lent::Lent;

#[path = "../src/lent.rs"]
mod lent;

fn lent() -> (Lent<String>, Weak<String>) {
    let first = Arc::new("shared".to_owned());
    let seen = Arc::downgrade(&first);
    (Lent::new(first), seen)
}

#[test]
fn the_last_to_go_takes_it_along_whoever_that_is() {
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let (lender, seen) = lent();
        let borrower = lender.clone();
        let from_borrower = borrower.clone();
        let mut owners = [Some(lender), Some(borrower), Some(from_borrower)];
        for (gone, leaves) in order.into_iter().enumerate() {
            let alive = seen.upgrade().unwrap();
            assert_eq!(*alive, "shared", "{gone} are gone");
            drop(alive);
            owners[leaves] = None;
        }
        assert!(seen.upgrade().is_none(), "{order:?}");
    }
}

/// There are eight places for notes in a thread.
#[test]
fn more_may_borrow_at_once_than_there_are_places_for_notes() {
    let (lender, seen) = lent();
    let borrowers: Vec<_> = (0..100).map(|_| lender.clone()).collect();
    drop(lender);
    assert!(borrowers.iter().all(|borrower| ***borrower == "shared"));
    drop(borrowers);
    assert!(seen.upgrade().is_none());
}

#[test]
fn it_may_be_given_back_in_another_thread_and_after_the_borrowing_thread() {
    let (lender, seen) = lent();
    let (one, other) = thread::scope(|scope| {
        let borrowed = scope.spawn(|| (lender.clone(), lender.clone()));
        borrowed.join().unwrap()
    });
    thread::scope(|scope| {
        scope.spawn(move || drop(one));
    });
    drop(lender);
    assert_eq!(**other, "shared");
    drop(other);
    assert!(seen.upgrade().is_none());
}

#[test]
fn threads_borrow_while_the_lender_goes() {
    for _ in 0..200 {
        let (lender, seen) = lent();
        let shared = Arc::new(lender);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                let own = Arc::clone(&shared);
                let over = &over;
                scope.spawn(move || {
                    while !over.load(SeqCst) {
                        let borrowed = Lent::clone(&own);
                        assert_eq!(**borrowed.clone(), "shared");
                    }
                    let last = Lent::clone(&own);
                    drop(own);
                    assert_eq!(**last, "shared");
                });
            }
            drop(shared);
            over.store(true, SeqCst);
        });
        assert!(seen.upgrade().is_none());
    }
}

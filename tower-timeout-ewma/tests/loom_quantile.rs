//! Every interleaving of a few threads that count in lanes, and take turns at carrying the counts.
//!
//! With few buckets and slots: loom looks at each of them.
#![allow(clippy::unwrap_used, reason = "a test may")]

use loom::sync::Arc;

#[path = "support/loom_sync.rs"]
mod sync;

#[allow(dead_code)]
#[path = "support/counting.rs"]
mod quantile;

use quantile::open::Counting;

#[test]
fn no_count_is_lost() {
    loom::model(|| {
        let counting = Arc::new(Counting::new());
        let other = Arc::clone(&counting);
        let thread = sync::spawn(move || other.answer(5));
        // The other way round it would be another bucket, of the same lane.
        counting.answer(50);
        let seen = counting.carry(0).expect("nobody else does");
        assert!((1..=2).contains(&seen));
        thread.join().unwrap();
        assert_eq!(counting.answered(), 2);
        assert_eq!(counting.carry(10), Some(2));
    });
}

#[test]
fn threads_that_share_a_lane_lose_no_count_either() {
    loom::model(|| {
        let counting = Arc::new(Counting::new());
        let other = Arc::clone(&counting);
        // In lane 0, as this one.
        let thread = loom::thread::spawn(move || other.answer(5));
        counting.answer(5);
        thread.join().unwrap();
        assert_eq!(counting.answered(), 2);
    });
}

#[test]
fn a_turn_is_taken_once() {
    loom::model(|| {
        let counting = Arc::new(Counting::new());
        let other = Arc::clone(&counting);
        let thread = sync::spawn(move || {
            other.answer(5);
            other.carry(3)
        });
        counting.answer(5);
        let turns = [counting.carry(3), thread.join().unwrap()];
        let taken = turns.iter().flatten().count();
        assert!(taken <= 1, "{turns:?}");
        // If the one came while the other was at it, or after.
        assert!(taken == 1, "{turns:?}");
        assert_eq!(counting.carry(12), None);
        assert_eq!(counting.carry(13), Some(2));
    });
}

#[test]
fn what_has_ended_is_seen_to_have_started() {
    loom::model(|| {
        let counting = Arc::new(Counting::new());
        let other = Arc::clone(&counting);
        let thread = sync::spawn(move || other.flight());
        let (started, ended) = counting.in_flight();
        assert!(ended <= started, "{started} {ended}");
        thread.join().unwrap();
        assert_eq!(counting.in_flight(), (1, 1));
    });
}

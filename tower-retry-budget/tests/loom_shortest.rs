//! The shortest latency under every interleaving that loom can think of.

use std::time::Duration;

use loom::{sync::Arc, thread};

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

#[path = "../src/shortest.rs"]
mod shortest;

use shortest::Shortest;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Notes that many milliseconds at that age, in a thread of its own.
fn note(shortest: &Arc<Shortest>, latency: u64, age: u64) -> thread::JoinHandle<()> {
    let shortest = Arc::clone(shortest);
    thread::spawn(move || shortest.note(millis(latency), millis(age)))
}

#[test]
fn of_latencies_noted_at_the_same_time_the_shortest_is_kept() {
    loom::model(|| {
        let shortest = Arc::new(Shortest::default());
        let threads = [note(&shortest, 32, 1), note(&shortest, 16, 1)];
        shortest.note(millis(48), millis(1));
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert_eq!(shortest.get(millis(1)), millis(16));
    });
}

/// A window begins while another thread still notes for the one before.
#[test]
fn a_window_that_begins_loses_nothing_of_the_one_before_it() {
    loom::model(|| {
        let shortest = Arc::new(Shortest::default());
        shortest.note(millis(32), millis(9_999));
        let next = note(&shortest, 48, 10_001);
        shortest.note(millis(16), millis(9_999));
        next.join().unwrap();
        assert_eq!(shortest.get(millis(10_001)), millis(16));
    });
}

/// What is read is some latency that was noted, or none.
#[test]
fn nobody_reads_a_half_of_what_is_noted() {
    loom::model(|| {
        let shortest = Arc::new(Shortest::default());
        shortest.note(millis(32), millis(9_999));
        let next = note(&shortest, 48, 20_001);
        let read = shortest.get(millis(20_001));
        assert!([Duration::ZERO, millis(48)].contains(&read), "{read:?}");
        next.join().unwrap();
        assert_eq!(shortest.get(millis(20_001)), millis(48));
    });
}

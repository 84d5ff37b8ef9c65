//! The shortest latency of late.

use std::time::Duration;

mod sync {
    pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
}

#[path = "../src/shortest.rs"]
mod shortest;

use shortest::Shortest;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn it_is_the_shortest_of_this_window_and_the_one_before() {
    let shortest = Shortest::default();
    assert_eq!(shortest.get(millis(1)), Duration::ZERO);
    for latency in [80, 30, 50] {
        shortest.note(millis(latency), millis(1_003));
    }
    assert_eq!(shortest.get(millis(9_999)), millis(30));
    assert_eq!(shortest.get(millis(19_999)), millis(30), "the one before");
    shortest.note(millis(400), millis(10_001));
    assert_eq!(shortest.get(millis(19_999)), millis(30));
    assert_eq!(shortest.get(millis(20_001)), millis(400), "forgotten");
    assert_eq!(shortest.get(millis(30_001)), Duration::ZERO, "idle");
}

#[test]
fn nothing_is_too_long_or_too_late_to_be_noted() {
    let shortest = Shortest::default();
    shortest.note(Duration::MAX, Duration::MAX);
    let got = shortest.get(Duration::MAX);
    assert!(got > Duration::from_secs(16) && got < Duration::from_secs(17));
}

#[test]
fn threads_agree_on_the_shortest() {
    let shortest = Shortest::default();
    std::thread::scope(|scope| {
        for thread in 1..=4 {
            let shortest = &shortest;
            scope.spawn(move || {
                for latency in (1..1_000).rev() {
                    shortest.note(millis(16 * latency + 4 * thread), millis(1));
                }
            });
        }
    });
    // Whole units, of 16 microseconds.
    assert_eq!(shortest.get(millis(1)), millis(20));
}

//! What is remembered of how requests ended and of those under way, beside plain models of both.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "../src/flights.rs"]
#[allow(dead_code, reason = "a part is covered elsewhere")]
mod flights;
#[path = "../src/outcomes.rs"]
#[allow(dead_code, reason = "the register looks at the history")]
mod outcomes;
#[path = "../src/sync.rs"]
#[allow(unused_imports, reason = "a lock is for others")]
mod sync;

use std::thread;

use flights::{Flights, Halves};
use outcomes::{Counts, FLOOR, Outcomes};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;
const WINDOW: u64 = 10 * SECOND;

fn succeed(outcomes: &Outcomes, now: u64) {
    outcomes.flights().started(now, u64::MAX);
    outcomes.answered_and_released(true, now);
}

/// Remembers everything.
#[derive(Default)]
struct Model {
    /// When, and whether it failed.
    ends: Vec<(u64, bool)>,
}

impl Model {
    /// Of all.
    fn totals(&self) -> Counts {
        Self::count(&self.ends)
    }

    /// Of those that are no older than this, and not from before the first failure.
    fn since(&self, oldest: u64) -> Counts {
        let first = self.ends.iter().position(|&(_, failed)| failed);
        let relevant = &self.ends[first.unwrap_or(self.ends.len())..];
        let young = relevant.partition_point(|&(at, _)| at < oldest);
        Self::count(&relevant[young..])
    }

    fn count(ends: &[(u64, bool)]) -> Counts {
        let failures = ends.iter().filter(|&&(_, failed)| failed).count() as u64;
        Counts {
            successes: ends.len() as u64 - failures,
            failures,
        }
    }

    /// An average over all outcomes since the last pause between failures that was too long.
    fn ratio(&self, now: u64) -> f64 {
        let failures: Vec<_> = self.ends.iter().filter(|end| end.1).collect();
        let Some(&&(last, _)) = failures.last() else {
            return 1.0;
        };
        if now.saturating_sub(last) > WINDOW {
            return 1.0;
        }
        let mut first = last;
        for &&(at, _) in failures.iter().rev() {
            if first - at > WINDOW {
                break;
            }
            first = at;
        }
        let begin = self
            .ends
            .iter()
            .position(|&end| end == (first, true))
            .unwrap();
        let failing = self.ends[begin..].iter().rev().take(64).rev();
        let failing = failing.fold(0.0_f64, |sum, &(_, failed)| {
            sum * 0.875 + if failed { 0.125 } else { 0.0 }
        });
        (1.0 - failing).max(FLOOR)
    }
}

#[test]
fn the_ratio_falls_with_each_failure_and_rises_with_each_success() {
    let outcomes = Outcomes::new(WINDOW);
    assert_eq!(outcomes.ratio(0), 1.0);
    outcomes.record_failure(0);
    assert_eq!(outcomes.ratio(0), 0.875);
    succeed(&outcomes, 0);
    assert_eq!(outcomes.ratio(0), 1.0 - 0.125 * 0.875);
    for _ in 0..64 {
        outcomes.record_failure(0);
    }
    assert!(outcomes.ratio(0) <= FLOOR);
    outcomes.forgive();
    assert_eq!(outcomes.ratio(0), 1.0);
    assert_eq!(outcomes.in_window(0).total(), 0);
    assert_eq!(outcomes.totals().failures, 65);
}

#[test]
fn silence_is_how_long_an_answer_has_been_owed_since_the_last_one() {
    const PATIENCE: u64 = 5_000;
    let flights = Flights::new();
    assert_eq!((flights.in_flight(), flights.silence(50)), (0, 0));
    assert_eq!(flights.started(100, PATIENCE), 0);
    assert_eq!(flights.silence(130), 30);
    assert_eq!(flights.started(140, PATIENCE), 1);
    assert_eq!((flights.in_flight(), flights.silence(150)), (2, 50));
    // An answer, to whichever, is a sign of life: the other takes its time. Its body may go on.
    flights.answered();
    assert_eq!((flights.in_flight(), flights.unanswered()), (2, 1));
    assert_eq!(flights.silence(10_000), 0);
    flights.started(10_100, PATIENCE);
    assert_eq!(
        flights.silence(10_150),
        50,
        "the next one is owed an answer"
    );
    // A request that is given up is no sign of life, but owed no more.
    flights.started(10_160, PATIENCE);
    flights.cancelled(10_160);
    assert_eq!(flights.silence(10_200), 100);
    flights.cancelled(10_100);
    assert_eq!(flights.silence(10_200), 0);
    // After a long silence it begins anew.
    flights.started(20_000, PATIENCE);
    flights.started(24_000, PATIENCE);
    assert_eq!(flights.silence(24_010), 4_010);
    flights.started(26_000, PATIENCE);
    assert_eq!(flights.silence(26_010), 10);
    assert_eq!(flights.silence(0), 0, "a clock that steps back");
    let halves = Halves::new();
    flights.answered_and_ended_well(&halves);
    flights.released();
    assert_eq!((flights.in_flight(), flights.unanswered()), (3, 3));
    assert_eq!(flights.successes(&halves), 1);
}

#[test]
fn no_success_is_lost_where_their_bits_are_full() {
    const THREADS: u64 = 2;
    const EACH: u64 = 150_000;
    let (flights, halves) = (Flights::new(), Halves::new());
    flights.started(0, u64::MAX);
    let answer = || {
        for _ in 0..EACH {
            flights.started(0, u64::MAX);
            flights.answered_and_ended_well(&halves);
        }
    };
    thread::scope(|scope| {
        let threads = [(); THREADS as usize].map(|()| scope.spawn(answer));
        let mut before = 0;
        while !threads.iter().all(thread::ScopedJoinHandle::is_finished) {
            let seen = flights.successes(&halves);
            assert!((before..=THREADS * EACH).contains(&seen), "{before} {seen}");
            before = seen;
        }
    });
    assert_eq!(flights.successes(&halves), THREADS * EACH);
    assert_eq!((flights.in_flight(), flights.unanswered()), (1, 1));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_window_holds_what_the_model_says(
        steps in prop::collection::vec((0..3 * SECOND, any::<bool>()), 1..300),
    ) {
        let (outcomes, mut model, mut now) = (Outcomes::new(WINDOW), Model::default(), 0);
        for (pause, failed) in steps {
            now += pause;
            if failed {
                outcomes.record_failure(now);
            } else {
                succeed(&outcomes, now);
            }
            model.ends.push((now, failed));
            prop_assert_eq!(outcomes.totals(), model.totals());
            // Nine whole parts of it and the one that is going on.
            let found = outcomes.in_window(now);
            let (most, least) = (model.since(now.saturating_sub(WINDOW)),
                model.since(now.saturating_sub(WINDOW / 10 * 9) + 1));
            prop_assert!(found.failures <= most.failures && found.failures >= least.failures);
            prop_assert!(found.successes <= most.successes && found.successes >= least.successes);
            let expected = model.ratio(now);
            prop_assert!((outcomes.ratio(now) - expected).abs() < 1e-3,
                "{} {expected}", outcomes.ratio(now));
        }
    }

    #[test]
    fn no_clock_breaks_anything(
        history in prop::collection::vec((any::<u64>(), any::<bool>()), 1..100),
        window in 10..u64::MAX,
    ) {
        let outcomes = Outcomes::new(window);
        for &(at, failed) in &history {
            if failed {
                outcomes.record_failure(at);
            } else {
                succeed(&outcomes, at);
            }
            prop_assert!((FLOOR..=1.0).contains(&outcomes.ratio(at)));
            let counts = outcomes.in_window(at);
            prop_assert!(counts.total() <= history.len() as u64);
        }
        prop_assert_eq!(outcomes.totals().total(), history.len() as u64);
    }
}

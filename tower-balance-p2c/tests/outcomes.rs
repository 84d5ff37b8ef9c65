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

use flights::Flights;
use outcomes::{Counts, FLOOR, Outcomes};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;
const WINDOW: u64 = 10 * SECOND;

/// Remembers everything.
#[derive(Default)]
struct Model {
    /// When, and whether it failed.
    ends: Vec<(u64, bool)>,
}

impl Model {
    /// Of those that are younger than this.
    fn since(&self, oldest: u64) -> Counts {
        let young = self.ends.iter().filter(|&&(at, _)| at >= oldest);
        let failures = young.clone().filter(|&&(_, failed)| failed).count() as u64;
        Counts {
            successes: young.count() as u64 - failures,
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
    let outcomes = Outcomes::new(0, WINDOW);
    assert_eq!(outcomes.ratio(0), 1.0);
    outcomes.record_failure(0);
    assert_eq!(outcomes.ratio(0), 0.875);
    outcomes.record_success(0);
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
fn a_failure_that_was_no_request_is_not_counted_as_one() {
    let outcomes = Outcomes::new(0, WINDOW);
    outcomes.stumbled(0);
    assert_eq!(outcomes.totals().total(), 0);
    assert_eq!(outcomes.ratio(0), 0.875);
}

#[test]
fn silence_is_how_long_an_answer_has_been_owed_and_none_has_come() {
    let flights = Flights::new();
    assert_eq!(flights.look(50), (0, 0));
    assert_eq!(flights.started(100), 0);
    assert_eq!(flights.look(130), (1, 30));
    assert_eq!(flights.started(140), 1);
    assert_eq!(flights.look(150), (2, 50));
    // An answer, to whichever, is a sign of life. Its body may go on.
    flights.answered(160);
    assert_eq!(flights.look(170), (2, 10));
    flights.answered(180);
    assert_eq!(flights.look(10_000), (2, 0), "nothing is owed");
    flights.released();
    // A request that is given up is no sign of life.
    flights.started(20_000);
    flights.started(20_010);
    flights.cancelled();
    assert_eq!(flights.look(20_100), (2, 100));
    flights.answered_and_released(20_200);
    assert_eq!(flights.look(20_300), (1, 0));
    assert_eq!(flights.look(0), (1, 0), "a clock that steps back");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_window_holds_what_the_model_says(
        steps in prop::collection::vec((0..3 * SECOND, any::<bool>()), 1..300),
    ) {
        let (outcomes, mut model, mut now) = (Outcomes::new(0, WINDOW), Model::default(), 0);
        for (pause, failed) in steps {
            now += pause;
            if failed {
                outcomes.record_failure(now);
            } else {
                outcomes.record_success(now);
            }
            model.ends.push((now, failed));
            prop_assert_eq!(outcomes.totals(), model.since(0));
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
        let outcomes = Outcomes::new(SECOND, window);
        for &(at, failed) in &history {
            if failed {
                outcomes.record_failure(at);
            } else {
                outcomes.record_success(at);
            }
            prop_assert!((FLOOR..=1.0).contains(&outcomes.ratio(at)));
            let counts = outcomes.in_window(at);
            prop_assert!(counts.total() <= history.len() as u64);
        }
        prop_assert_eq!(outcomes.totals().total(), history.len() as u64);
    }
}

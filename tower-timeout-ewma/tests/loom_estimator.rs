//! Every interleaving of a few threads that share one estimator.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use loom::{sync::Arc, thread};

#[allow(dead_code, unreachable_pub)]
#[path = "../src/estimator/mod.rs"]
mod estimator;
#[path = "support/loom_sync.rs"]
mod sync;

use estimator::{Rule, Settings, Smoothed};

const FAST: Duration = Duration::from_millis(20);
const SLOW: Duration = Duration::from_millis(300);
const LATE: Duration = Duration::from_secs(2);

#[test]
fn no_sample_is_lost_and_the_pair_is_that_of_some_order() {
    let orders = {
        let (one, other) = (sequential(&[FAST, SLOW]), sequential(&[SLOW, FAST]));
        assert_ne!(one, other);
        [one, other]
    };
    loom::model(move || {
        let estimator = Arc::new(estimator());
        let other = Arc::clone(&estimator);
        let thread = thread::spawn(move || {
            other.answered(SLOW, 0);
        });
        estimator.answered(FAST, 0);
        thread.join().unwrap();

        assert_eq!(estimator.samples(), 2);
        assert!(orders.contains(&pair(&estimator)), "{:?}", pair(&estimator));
    });
}

#[test]
fn a_reader_sees_a_pair_that_was_written() {
    let limits = [sequential(&[FAST]), sequential(&[FAST, SLOW])].map(|(limit, _)| limit);
    assert_ne!(limits[0], limits[1]);
    loom::model(move || {
        let estimator = Arc::new(estimator());
        estimator.answered(FAST, 0);
        let writer = Arc::clone(&estimator);
        let thread = thread::spawn(move || {
            writer.answered(SLOW, 0);
        });
        let limit = estimator.limit();
        assert!(limits.contains(&limit), "{limit:?}");
        thread.join().unwrap();
    });
}

#[test]
fn no_timeout_is_lost() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let estimator = Arc::new(estimator());
        for _ in 0..3 {
            estimator.timed_out(estimator.limit(), 0);
        }
        let other = Arc::clone(&estimator);
        let thread = thread::spawn(move || other.timed_out(LATE, 0).is_some());
        let here = estimator.timed_out(LATE, 0).is_some();
        let there = thread.join().unwrap();

        assert_eq!(estimator.timeouts(), 5);
        assert!(estimator.relaxing(), "the fifth is one too many");
        assert!(here != there, "exactly one of them is told so");
    });
}

fn estimator() -> Smoothed {
    let settings = Settings {
        rule: Rule::Deviations(4.0),
        min_samples: 1,
        ..Settings::default()
    };
    Smoothed::new(settings, 4.0)
}

/// loom's atomics work in a model only.
fn sequential(latencies: &'static [Duration]) -> Known {
    let result = std::sync::Arc::new(std::sync::Mutex::new(None));
    let write = std::sync::Arc::clone(&result);
    loom::model(move || {
        let estimator = estimator();
        for &latency in latencies {
            estimator.answered(latency, 0);
        }
        *write.lock().unwrap() = Some(pair(&estimator));
    });
    result.lock().unwrap().take().unwrap()
}

type Known = (Duration, Option<(Duration, Duration)>);

fn pair(estimator: &Smoothed) -> Known {
    (estimator.limit(), estimator.known())
}

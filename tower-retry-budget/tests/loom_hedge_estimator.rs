//! The estimator under every interleaving that loom can think of.

use std::time::Duration;

use loom::{sync::Arc, thread};

mod sync {
    pub(crate) use loom::sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    };
}

#[path = "../src/hedge/estimator.rs"]
#[allow(
    dead_code,
    reason = "the core is compiled a second time, with loom's atomics and locks"
)]
mod estimator;
#[path = "../src/nanos.rs"]
#[allow(dead_code, reason = "a part is used elsewhere")]
mod nanos;
#[path = "../src/hedge/windows.rs"]
#[allow(dead_code, reason = "the same")]
mod windows;

use estimator::{Estimator, Rule};

const SECOND: u64 = 1_000_000_000;

fn estimator(min_samples: u32) -> Arc<Estimator> {
    let rule = Rule {
        quantile: 0.5,
        min_samples,
        min_delay: Duration::ZERO,
        window: Duration::from_secs(10),
    };
    Arc::new(Estimator::new(rule, 2))
}

fn spawn(
    estimator: &Arc<Estimator>,
    run: impl FnOnce(&Estimator) + 'static,
) -> thread::JoinHandle<()> {
    let estimator = Arc::clone(estimator);
    thread::spawn(move || run(&estimator))
}

fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}

/// Two threads find that it is time to publish, and one reads meanwhile.
#[test]
fn what_is_published_is_whole_and_nobody_waits() {
    model(|| {
        let estimator = estimator(1);
        estimator.answered(0, Duration::from_millis(20), 0);
        let one = spawn(&estimator, |estimator| {
            estimator.answered(0, Duration::from_millis(20), SECOND);
        });
        let other = spawn(&estimator, |estimator| {
            estimator.answered(1, Duration::from_millis(20), 2 * SECOND);
        });
        for now in [SECOND, 2 * SECOND] {
            let delay = estimator.delay(now);
            assert!(
                delay.is_none_or(|delay| delay.as_millis() == 20),
                "{delay:?}"
            );
        }
        one.join().unwrap();
        other.join().unwrap();
        // The first sample met nobody, so it is not missed.
        estimator.answered(0, Duration::from_millis(20), 3 * SECOND);
        assert_eq!(
            estimator.delay(3 * SECOND).map(|delay| delay.as_millis()),
            Some(20)
        );
    });
}

/// A sample may be missed, but none is counted twice.
#[test]
fn no_sample_is_counted_twice() {
    model(|| {
        // One more than there are.
        let estimator = estimator(5);
        estimator.answered(0, Duration::from_millis(20), 0);
        estimator.answered(1, Duration::from_millis(20), 0);
        let one = spawn(&estimator, |estimator| {
            estimator.answered(0, Duration::from_millis(20), SECOND);
        });
        let other = spawn(&estimator, |estimator| {
            estimator.answered(0, Duration::from_millis(20), SECOND);
        });
        one.join().unwrap();
        other.join().unwrap();
        // Carries what is left into the histograms, and is not yet there itself.
        estimator.answered(1, Duration::from_millis(20), 2 * SECOND);
        assert_eq!(estimator.delay(2 * SECOND), None);
    });
}

/// Without anybody in the way nothing is missed.
#[test]
fn threads_with_their_own_lanes_lose_nothing() {
    model(|| {
        let estimator = estimator(2);
        let other = spawn(&estimator, |estimator| {
            estimator.answered(1, Duration::from_millis(20), 0);
        });
        estimator.answered(0, Duration::from_millis(20), 0);
        other.join().unwrap();
        estimator.answered(0, Duration::from_millis(20), SECOND);
        assert!(estimator.delay(SECOND).is_some());
    });
}

//! The timeout simulator itself: it says what arithmetic says, does the same each time, and a day of
//! it leaves no trace in the estimators.
//!
//! A root of its own beside `main.rs`, for the same modules: a bench has no tests.
#![forbid(unsafe_code)]
#![allow(dead_code, reason = "the bench uses the rest")]

#[allow(unreachable_pub)]
#[path = "../../tower-timeout-ewma/src/estimator/mod.rs"]
mod estimator;
mod figure;
mod models;
mod ours;
mod policy;
mod record;
#[path = "../simulator/runs.rs"]
mod runs;
mod scenario;
mod scenarios;
#[path = "../simulator/statistics.rs"]
mod statistics;
#[path = "../../tower-timeout-ewma/src/sync.rs"]
mod sync;
#[path = "../simulator/verdict.rs"]
mod verdict;
mod verdicts;
mod world;

use benches::CountingAllocator;
use policy::PolicyKind;
use scenario::{Phase, Scenario};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn a_seed_says_all() {
    for policy in PolicyKind::ALL {
        let [first, second, other] =
            [7, 7, 8].map(|seed| format!("{:?}", world::run(&scenarios::ALL[0], policy, seed)));
        assert_eq!(first, second, "{policy:?}");
        assert_ne!(first, other, "{policy:?}");
    }
}

#[test]
fn fixed_limits_cut_off_what_the_normal_distribution_says() {
    let figures = runs::run_all(
        &scenarios::ALL[0],
        &[PolicyKind::Fixed250ms],
        &[1, 2, 3, 4],
        2,
    );
    let figures = figures.of(PolicyKind::Fixed250ms).expect("it ran");
    let mean = |of: fn(&record::Figures) -> f64| figures.iter().map(of).sum::<f64>() / 4.0;
    // 250 ms is 3.52 deviations above 15 ms, and 1.505 above 75 ms.
    assert_near(mean(|run| run.cut_before), 0.022, 0.02);
    assert_near(mean(|run| run.cut_later), 6.62, 0.5);
    assert_near(mean(|run| run.wait_before), 1.407, 0.01);
}

#[test]
fn the_oracle_cuts_off_one_in_a_thousand_and_needs_no_time() {
    let figures = world::run(&scenarios::ALL[0], PolicyKind::Oracle, 3);
    assert_near(figures.cut_before, 0.1, 0.1);
    assert_near(figures.wait_later, 1.0, 1e-9);
    assert_eq!(figures.recovery_down, Some(0.0));
}

#[test]
fn the_traps_are_traps() {
    let step = &scenarios::ALL[0];
    let p99 = world::run(step, PolicyKind::P99, 1);
    assert!(p99.cut_before > 3.0 && p99.cut_later > 40.0, "{p99:?}");
    assert_eq!(p99.recovery_up, Some(f64::INFINITY));
}

/// A day of changes; what is left to the bench is more requests.
#[test]
fn a_day_of_changes_leaves_no_trace() {
    let day = scenarios::named("day").next().expect("there is a day");
    let day = Scenario { rate: 1.0, ..*day };
    for policy in [PolicyKind::Quantile, PolicyKind::Smoothed] {
        let figures = world::run(&day, policy, 1);
        let last_hour = &figures.limits[23 * 36_000..];
        let first_hour = &figures.limits[36_000..2 * 36_000];
        let [first, last] =
            [first_hour, last_hour].map(|limits| limits.iter().sum::<f64>() / limits.len() as f64);
        assert!(
            (last / first).ln().abs() < 0.25,
            "{policy:?}: {first} ms, then {last} ms"
        );
        assert!(
            figures.heap.at_first > 200,
            "{policy:?}: nothing was counted"
        );
        assert_eq!(figures.heap.grown, 0, "{policy:?}");
    }
}

const SHORT: &[Phase] = &[scenarios::calm(4.0), scenarios::hangs(4.0, 0.05)];

/// Of so many that hang, the older ones in flight look as if all were slower.
#[test]
fn many_that_hang_do_not_stretch_the_limit() {
    let hangs = scenarios::named("many-hangs-5").next();
    let hangs = Scenario {
        rate: 12_500.0,
        phases: SHORT,
        warm_up: 2.0,
        settles: 1.0,
        ..*hangs.expect("there are hangs")
    };
    let figures = world::run(&hangs, PolicyKind::Quantile, 1);
    assert!(figures.wait_later < 1.2, "{figures:?}");
}

fn assert_near(measured: f64, expected: f64, tolerance: f64) {
    assert!(
        (measured - expected).abs() <= tolerance,
        "{measured}, not {expected}"
    );
}

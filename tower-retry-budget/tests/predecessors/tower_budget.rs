//! `tower::retry::budget::TpsBudget`.

use std::time::Duration;

use tokio::time::advance;
use tower::retry::budget::{Budget as _, TpsBudget};
use tower_retry_budget::{Budget, Kind};

use crate::{
    is_overdrawn,
    support::{spent, tokens},
    theirs::{panics, still},
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What happens between two looks at a budget: no clock hits the bounds of its slots.
const ODD: Duration = Duration::from_micros(101_003);

fn ours(budget: &Budget) -> usize {
    std::iter::from_fn(|| budget.try_withdraw(Kind::Transient).ok()).count()
}

fn theirs(budget: &TpsBudget) -> usize {
    std::iter::from_fn(|| budget.withdraw().then_some(())).count()
}

/// tower #857.
#[test]
fn a_ratio_is_granted_as_it_is_set() {
    for (ratio, granted, granted_there) in [(0.4, 40, 50), (0.6, 60, 100), (0.9, 90, 100)] {
        let mine = spent(ratio, 1000);
        (0..100).for_each(|_| mine.deposit());
        assert_eq!(ours(&mine), granted);

        let tps = TpsBudget::new(60 * SECOND, 0, ratio as f32);
        (0..100).for_each(|_| tps.deposit());
        still(
            theirs(&tps) == granted_there,
            "#857, a ratio is rounded up to one in so many",
        );
    }
    assert!(Budget::builder().ratio(600.0).build().is_err());
    let tps = TpsBudget::new(60 * SECOND, 0, 600.0);
    tps.deposit();
    still(theirs(&tps) == 1000, "#857, 600 is taken for 1,000");
}

#[tokio::test(start_paused = true)]
async fn the_floor_does_not_drift() {
    let builder = Budget::builder().ratio(0.0).min_per_second(10.0);
    let builder = builder.follow_success(false).reserve(100);
    let mine = builder.build().unwrap();
    let tps = TpsBudget::new(10 * SECOND, 10, 0.0);
    assert_eq!((ours(&mine), theirs(&tps)), (100, 100));
    let (mut granted, mut granted_there) = (0, 0);
    for _ in 0..6000 {
        advance(ODD).await;
        granted += ours(&mine);
        granted_there += theirs(&tps);
    }
    // Ten a second, over 606 seconds.
    assert_eq!(granted, 6060);
    still(
        granted_there > 9000,
        "the reserve is there again before its time",
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_paid_in_lasts_for_the_whole_window() {
    let builder = Budget::builder().ratio(0.2).min_per_second(0.0);
    let builder = builder.window(10 * SECOND).reserve(1).burst(100);
    let mine = builder.build().unwrap();
    let tps = TpsBudget::new(10 * SECOND, 0, 0.2);
    assert_eq!(ours(&mine), 1);
    (0..50).for_each(|_| mine.deposit());
    (0..50).for_each(|_| tps.deposit());
    // What comes is of some 7 seconds. Theirs moves on when it is used.
    for _ in 0..70 {
        advance(ODD).await;
        mine.deposit();
        tps.deposit();
    }
    assert_eq!(ours(&mine), 24);
    still(theirs(&tps) <= 14, "deposits last for 60 % of their time");
}

/// The clock that counts here is that of the machine.
#[allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "how long the processor takes"
)]
fn quickest<B>(mut budgets: Vec<B>, look: impl Fn(&mut B)) -> Duration {
    let each = budgets.iter_mut().map(|budget| {
        let begun = std::time::Instant::now();
        look(budget);
        begun.elapsed()
    });
    each.min().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_long_idle_time_costs_no_more_than_a_short_one() {
    let mine: Vec<_> = (0..9).map(|_| tokens(20)).collect();
    let tps: Vec<_> = (0..3).map(|_| TpsBudget::new(SECOND, 10, 0.2)).collect();
    advance(DAY).await;
    let took = quickest(mine, |budget| {
        drop(budget.try_withdraw(Kind::Transient));
    });
    assert!(took < Duration::from_micros(100), "{took:?}");
    // 864,000 steps, while the lock is held.
    let took_there = quickest(tps, |budget| {
        budget.withdraw();
    });
    still(
        took_there > Duration::from_millis(1),
        "it makes up for idle time slot by slot",
    );
}

#[test]
fn two_threads_do_not_both_get_the_last_token() {
    let mine = spent(1.0, 10);
    let withdraw = || mine.try_withdraw(Kind::Transient).is_ok();
    assert!(!is_overdrawn(20_000, || mine.deposit(), withdraw));

    let tps = TpsBudget::new(60 * SECOND, 0, 1.0);
    let both = is_overdrawn(10_000_000, || tps.deposit(), || tps.withdraw());
    still(both, "it looks, and then takes");
}

#[test]
fn what_may_be_taken_at_once_is_a_setting_of_its_own() {
    let builder = Budget::builder().min_per_second(10.0).reserve(5);
    let mine = builder.burst(5).follow_success(false).build().unwrap();
    (0..1000).for_each(|_| mine.deposit());
    assert_eq!(ours(&mine), 5);

    let tps = TpsBudget::new(10 * SECOND, 10, 0.2);
    still(
        theirs(&tps) == 100,
        "all of the reserve may be taken at once",
    );
}

#[test]
fn a_bad_setting_is_an_error_and_decisions_are_counted() {
    assert!(Budget::builder().window(Duration::ZERO).build().is_err());
    for ratio in [-0.1, f64::NAN, f64::INFINITY, 10.1] {
        assert!(Budget::builder().ratio(ratio).build().is_err());
        let theirs = panics(|| TpsBudget::new(SECOND, 10, 100.0 * ratio as f32));
        still(theirs, "a bad ratio is a panic");
    }
    let theirs = panics(|| TpsBudget::new(Duration::ZERO, 10, 0.2));
    still(theirs, "a bad TTL is a panic");

    let mine = tokens(1);
    assert_eq!(ours(&mine), 1);
    let stats = mine.stats();
    assert_eq!((stats.withdrawn, stats.refused), (1, 1));
    assert_eq!(stats.kinds.transient.refused_empty, 1);
}

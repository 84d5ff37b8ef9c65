//! The budget as its users see it, in tokio's time.

use std::{sync::Barrier, thread, time::Duration};

use tokio::time::advance;
use tower_retry_budget::{Budget, Kind};

mod support;

use support::{spent, tokens};

const ODD: Duration = Duration::from_micros(1003);

#[test]
fn each_ratio_is_granted_exactly() {
    for ratio in [0.1, 0.2, 0.3, 0.35, 0.4, 0.6, 0.7, 0.9, 1.0, 1.5, 6.0, 9.99] {
        let budget = spent(ratio, 20_000);
        for _ in 0..1_000 {
            budget.deposit();
        }
        let mut granted = 0;
        while budget.try_withdraw(Kind::Transient).is_ok() {
            granted += 1;
        }
        assert_eq!(granted, (ratio * 1_000.0).round() as u32, "ratio {ratio}");
    }
}

/// A millionth more would be one token too many after a million successes.
#[test]
fn a_ratio_is_never_rounded_up() {
    for ratio in [2.0 / 3.0, 1.0 / 7.0, 0.123_456_789, 1e-6] {
        let budget = spent(ratio, 2_000_000);
        (0..2_000_000).for_each(|_| budget.deposit());
        let (paid, exact) = (budget.stats().balance, ratio * 2e6);
        assert!(paid <= exact + 1e-9, "{paid} of {exact}");
        assert!(paid > exact - 2.0, "{paid} of {exact}");
    }
}

#[test]
fn a_failure_storm_costs_the_burst_and_no_more() {
    let budget = tokens(20);
    let granted = (0..100_000)
        .filter(|_| budget.try_withdraw(Kind::Transient).is_ok())
        .count();
    assert_eq!(granted, 20);
    assert_eq!(budget.stats().refused, 99_980);
}

#[tokio::test(start_paused = true)]
async fn the_burst_is_apart_from_the_rate() {
    let builder = Budget::builder().ratio(0.0).min_per_second(10.0);
    let budget = builder.burst(2).build().unwrap();
    for _ in 0..3 {
        let granted = (0..1_000)
            .filter(|_| budget.try_withdraw(Kind::Transient).is_ok())
            .count();
        assert_eq!(granted, 2, "not the hundred that ten seconds have paid in");
        advance(Duration::from_secs(10) + ODD).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_there_when_its_time_has_come_and_not_before() {
    let builder = Budget::builder().ratio(0.0).min_per_second(1.0);
    let budget = builder.burst(1).build().unwrap();
    let _ = budget.try_withdraw(Kind::Transient).unwrap();
    for _ in 0..997 {
        assert!(!budget.looks_affordable());
        assert!(budget.try_withdraw(Kind::Transient).is_err());
        advance(ODD).await;
    }
    assert!(!budget.looks_affordable());
    advance(ODD).await;
    assert!(budget.looks_affordable());
    assert!(budget.try_withdraw(Kind::Transient).is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_rate_does_not_drift() {
    let builder = Budget::builder().ratio(0.0).min_per_second(10.0);
    let budget = builder.reserve(1_000).build().unwrap();
    while budget.try_withdraw(Kind::Transient).is_ok() {}
    let mut granted = 0;
    for _ in 0..60_000 {
        advance(ODD).await;
        granted += u32::from(budget.try_withdraw(Kind::Transient).is_ok());
    }
    assert_eq!(granted, 601, "60.18 seconds at 10 a second");
}

#[test]
fn no_race_overdraws_it() {
    for _ in 0..2_000 {
        let budget = tokens(1);
        let start = Barrier::new(2);
        let draw = || {
            start.wait();
            usize::from(budget.try_withdraw(Kind::Transient).is_ok())
        };
        let granted = thread::scope(|scope| {
            let other = scope.spawn(draw);
            draw() + other.join().unwrap()
        });
        assert_eq!(granted, 1);
    }
}

#[test]
fn many_threads_lose_no_deposit_and_no_withdrawal() {
    let builder = Budget::builder().ratio(0.6).min_per_second(0.0);
    let builder = builder.reserve(100_000).burst(100_000);
    let budget = builder.refund_succeeded(true).build().unwrap();
    // Room for all that is paid in, so that nothing is cut off.
    let taken = (0..3_000).map(|_| budget.try_withdraw(Kind::Timeout));
    assert!(taken.into_iter().all(|taken| taken.is_ok()));
    let kinds = [Kind::Transient, Kind::Throttled, Kind::Timeout, Kind::Hedge];
    let work = |step: usize| {
        budget.deposit();
        budget.failed(kinds[step % 4]);
        let Ok(withdrawal) = budget.try_withdraw(kinds[step % 4]) else {
            return;
        };
        match step % 3 {
            0 => withdrawal.refund(),
            1 => withdrawal.succeeded(),
            _ => {}
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10_000).for_each(work));
        }
    });
    let stats = budget.stats();
    assert_eq!((stats.deposited, stats.failed), (40_000, 30_000));
    assert_eq!(stats.withdrawn + stats.refused, 43_000);
    assert!(stats.withdrawn > 13_000, "{stats:?}");
    let paid = 100_000.0 + 24_000.0;
    assert!(stats.balance < 100_000.0, "{stats:?}");
    assert!(
        (stats.balance + stats.spent - paid).abs() < 1e-6,
        "{stats:?}"
    );
}

#[test]
fn a_refund_gives_the_token_back_and_a_drop_does_not() {
    let budget = tokens(2);
    budget.try_withdraw(Kind::Transient).unwrap().refund();
    assert_eq!(budget.stats().balance, 2.0);
    drop(budget.try_withdraw(Kind::Transient).unwrap());
    assert_eq!(budget.stats().balance, 1.0);
    let stats = budget.stats();
    assert_eq!((stats.withdrawn, stats.refunded, stats.refused), (2, 1, 0));
}

#[test]
fn clones_share_one_balance() {
    let budget = tokens(1);
    let clone = budget.clone();
    let _ = budget.try_withdraw(Kind::Transient).unwrap();
    assert!(!clone.looks_affordable());
}

#[test]
fn a_refusal_says_what_there_was_and_what_to_do() {
    let budget = spent(0.4, 20);
    budget.deposit();
    let refused = budget.try_withdraw(Kind::Timeout).unwrap_err();
    assert_eq!((refused.balance(), refused.cap()), (0.4, 20.0));
    assert_eq!((refused.kind(), refused.price()), (Kind::Timeout, 20.0));
    assert!(!refused.dearer());
    assert_eq!(
        refused.to_string(),
        "the retry budget holds 0.400 of at most 20.000 tokens and a retry of what timed out costs \
         20.000: wait for successes to fund it, or raise `ratio`, `min_per_second` or `reserve`"
    );
}

#[test]
fn the_default_is_a_full_reserve_of_10() {
    let stats = Budget::new().stats();
    assert_eq!((stats.balance, stats.cap), (10.0, 10.0));
    assert_eq!((stats.deposited, stats.withdrawn), (0, 0));
    assert_eq!(stats.success_ratio, None);
}

//! What a retry costs and what may be saved for it follow what has happened lately.

use std::time::Duration;

use tokio::time::advance;
use tower_retry_budget::{
    Budget, Kind,
    budget::{BudgetStats, Builder},
};

/// Paid by successes alone, one token for five.
fn builder() -> Builder {
    Budget::builder().ratio(0.2).min_per_second(0.0)
}

/// A tenth of a second and a bit, in which so many succeed.
async fn tick(budget: &Budget, successes: u32) {
    (0..successes).for_each(|_| budget.deposit());
    advance(Duration::from_micros(100_003)).await;
}

/// Retries of what is transient, until one is refused.
fn take_all(budget: &Budget) -> usize {
    let take = || budget.try_withdraw(Kind::Transient);
    std::iter::repeat_with(take)
        .take_while(Result::is_ok)
        .count()
}

fn with_outcomes(budget: &Budget, succeeded: u32, failed: u32) -> BudgetStats {
    (0..succeeded).for_each(|_| budget.deposit());
    (0..failed).for_each(|_| budget.failed(Kind::Transient));
    budget.stats()
}

#[test]
fn each_kind_costs_its_price() {
    let builder = builder().reserve(100).price(Kind::Hedge, 2.5);
    let budget = builder.price(Kind::Throttled, 1e-6).build().unwrap();
    let mut left = 100.0;
    for (kind, price) in [
        (Kind::Transient, 1.0),
        (Kind::Throttled, 1e-6),
        (Kind::Timeout, 20.0),
        (Kind::Hedge, 2.5),
    ] {
        assert_eq!(budget.stats().kinds.of(kind).price, price);
        let withdrawal = budget.try_withdraw(kind).unwrap();
        assert_eq!(withdrawal.price(), price);
        left -= price;
        assert!((budget.stats().balance - left).abs() < 1e-9);
    }
    assert_eq!(budget.stats().spent, 23.500_001);
}

#[test]
fn a_success_refunds_only_if_told() {
    for told in [false, true] {
        let budget = builder().refund_succeeded(told).build().unwrap();
        budget.try_withdraw(Kind::Throttled).unwrap().succeeded();
        let stats = budget.stats();
        assert_eq!(stats.balance, if told { 10.0 } else { 5.0 });
        let refunds = (stats.refunded, stats.refunded_succeeded);
        assert_eq!(refunds, (0, u64::from(told)));
        budget.try_withdraw(Kind::Transient).unwrap().refund();
        assert_eq!(budget.stats().refunded, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_healthy_client_enters_an_outage_with_its_window_full() {
    let budget = builder().build().unwrap();
    for _ in 0..300 {
        tick(&budget, 80).await;
    }
    // Ten seconds of 800 a second.
    let granted = take_all(&budget);
    assert!((1_596..=1_600).contains(&granted), "{granted}");
}

#[tokio::test(start_paused = true)]
async fn the_cap_follows_the_traffic_of_the_window_and_forgets_it() {
    let budget = builder().build().unwrap();
    for (successes, expected) in [
        (80, 1_600.0),
        (40, 800.0),
        (0, 10.0),
        (10, 200.0),
        (1, 20.0),
    ] {
        // One window and the quarter to which it is exact.
        for _ in 0..125 {
            tick(&budget, successes).await;
            budget.try_withdraw(Kind::Transient).unwrap().refund();
        }
        let BudgetStats { cap, balance, .. } = budget.stats();
        assert!((cap - expected).abs() < 20.0, "{cap} for {expected}");
        assert!(balance <= cap);
    }
    assert!(take_all(&budget) <= 20, "what was saved is gone");
}

#[tokio::test(start_paused = true)]
async fn the_burst_is_the_most() {
    let budget = builder().burst(100).build().unwrap();
    for _ in 0..50 {
        tick(&budget, 80).await;
    }
    assert_eq!(take_all(&budget), 100);
}

#[test]
fn where_most_fails_a_retry_costs_more_and_a_rare_caller_pays_no_more() {
    let price = |succeeded, failed| {
        let stats = with_outcomes(&builder().build().unwrap(), succeeded, failed);
        stats.kinds.transient.price
    };
    assert_eq!(price(80, 20), 1.0);
    assert_eq!(price(79, 21), 1.265_823, "100 ÷ 79, rounded up");
    assert_eq!(price(25, 75), 4.0);
    assert_eq!((price(1, 99), price(0, 20)), (16.0, 16.0));
    assert_eq!(price(0, 19), 1.0, "too few to tell");
    let builder = builder().follow_success(false);
    let stats = with_outcomes(&builder.build().unwrap(), 25, 75);
    assert_eq!(stats.success_ratio, Some(0.25));
    assert_eq!(stats.kinds.transient.price, 1.0);
}

#[tokio::test(start_paused = true)]
async fn prices_fall_again_when_the_failures_are_a_window_ago() {
    let budget = builder().build().unwrap();
    let price = || budget.stats().kinds.timeout.price;
    with_outcomes(&budget, 20, 60);
    assert_eq!(price(), 80.0);
    for _ in 0..125 {
        tick(&budget, 10).await;
        price();
    }
    assert_eq!(price(), 20.0);
}

#[test]
fn stats_tell_each_decision_with_its_reason() {
    let budget = builder().reserve(10).build().unwrap();
    let granted = budget.try_withdraw(Kind::Throttled);
    assert!(budget.try_withdraw(Kind::Timeout).is_err());
    with_outcomes(&budget, 20, 60);
    let dearer = budget.try_withdraw(Kind::Throttled).unwrap_err();
    assert!(dearer.dearer());
    assert_eq!(
        dearer.to_string(),
        "the retry budget holds 9.000 of at most 10.000 tokens and a retry of what was throttled \
         costs 20.000 while so much fails: wait for successes to fund it, or raise `ratio`, \
         `min_per_second` or `reserve`"
    );
    granted.unwrap().refund();
    let stats = budget.stats();
    let (throttled, timeout) = (stats.kinds.throttled, stats.kinds.timeout);
    assert_eq!((throttled.granted, throttled.refused_dearer), (1, 1));
    assert_eq!((throttled.refused_empty, timeout.refused_empty), (0, 1));
    assert_eq!((stats.withdrawn, stats.refused, stats.refunded), (1, 2, 1));
    assert_eq!(stats.spent, 0.0);
}

#[test]
fn a_hedge_is_no_failure() {
    let budget = Budget::new();
    budget.failed(Kind::Hedge);
    assert_eq!(budget.stats().failed, 0);
}

#[tokio::test(start_paused = true)]
async fn n_clients_share_one_floor() {
    for (clients, expected) in [(1, 10), (4, 2), (1_000, 0)] {
        let builder = Budget::builder().ratio(0.0).min_per_second(1.0);
        let budget = builder.clients(clients).build().unwrap();
        assert_eq!(take_all(&budget), 10, "the reserve");
        advance(Duration::from_millis(10_003)).await;
        assert_eq!(take_all(&budget), expected, "{clients} clients");
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_sees_what_was_paid_in_since_the_last_refusal() {
    let budget = builder().build().unwrap();
    take_all(&budget);
    assert!(!budget.looks_affordable());
    (0..4).for_each(|_| budget.deposit());
    assert!(!budget.looks_affordable());
    budget.deposit();
    assert!(budget.looks_affordable());
    assert_eq!(take_all(&budget), 1);
    assert!(!budget.looks_affordable());
}

/// What was saved is still there, but a retry costs more than may be used of it.
#[tokio::test(start_paused = true)]
async fn after_a_refusal_nothing_looks_affordable_though_much_was_saved() {
    let budget = Budget::new();
    (0..3_000).for_each(|_| budget.deposit());
    budget.try_withdraw(Kind::Transient).unwrap().refund();
    assert!(budget.looks_affordable());
    for _ in 0..2 {
        advance(Duration::from_millis(10_003)).await;
        assert!(budget.stats().balance > 1.0);
    }
    (0..100).for_each(|_| budget.failed(Kind::Transient));
    for _ in 0..3 {
        let refused = budget.try_withdraw(Kind::Transient).unwrap_err();
        assert!(refused.dearer(), "{refused}");
        for _ in 0..3 {
            assert!(!budget.looks_affordable());
        }
    }
}

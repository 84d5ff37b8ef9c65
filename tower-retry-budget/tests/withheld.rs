//! A retry after a timeout waits for a sign that the next attempt would not time out too.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt};
use tower_retry_budget::{Budget, Kind, RetryLayer, Verdict, budget::Builder};

mod support;

use support::{Answer, Failure, World, at_once};

fn builder() -> Builder {
    let builder = Budget::builder().ratio(0.0).min_per_second(0.0);
    builder.reserve(100)
}

fn by_text(result: Result<&&'static str, &Failure>) -> Verdict {
    match result {
        Ok(_) => Verdict::Success,
        Err(Failure("late")) => Verdict::retry().kind(Kind::Timeout),
        Err(_) => Verdict::retry(),
    }
}

/// How a request ends that fails at first and then would not, if others succeed and fail while it
/// waits, and after how long.
async fn ends(
    budget: &Budget,
    failure: &'static str,
    (succeed, fail): (u32, u32),
) -> (Result<&'static str, Failure>, Duration) {
    let layer = RetryLayer::builder(budget.clone()).policy(by_text);
    let layer = layer.build().expect("valid");
    let world = World::answering([Answer::Err(failure), Answer::Ok("fine")]);
    let others = async {
        sleep(Duration::from_millis(7)).await;
        (0..succeed).for_each(|_| budget.deposit());
        (0..fail).for_each(|_| budget.failed(Kind::Timeout));
    };
    let start = Instant::now();
    let request = async {
        let result = layer.layer(world.probe()).oneshot(()).await;
        (result, Instant::now().duration_since(start))
    };
    tokio::join!(request, others).0
}

#[tokio::test(start_paused = true)]
async fn it_is_sent_if_80_percent_of_what_came_meanwhile_succeeded() {
    for (others, sent) in [((8, 2), true), ((79, 21), false), ((0, 1), false)] {
        let budget = builder().build().unwrap();
        let (result, _) = ends(&budget, "late", others).await;
        let expected = if sent {
            Ok("fine")
        } else {
            Err(Failure("late"))
        };
        assert_eq!(result, expected, "{others:?}");
        let stats = budget.stats();
        assert_eq!((stats.withheld, stats.refunded), (u64::from(!sent), 0));
        // It is paid for all the same.
        assert_eq!((stats.balance, stats.kinds.timeout.granted), (80.0, 1));
    }
}

#[test]
fn what_came_before_does_not_matter() {
    let budget = builder().reserve(1_000).build().unwrap();
    (0..50).for_each(|_| budget.failed(Kind::Timeout));
    let withdrawal = budget.try_withdraw(Kind::Timeout).unwrap();
    assert_eq!(withdrawal.price(), 320.0);
    assert!(!withdrawal.looks_vain());
    budget.failed(Kind::Timeout);
    assert!(withdrawal.looks_vain());
}

#[tokio::test(start_paused = true)]
async fn who_knows_nothing_of_others_sends_it() {
    let budget = builder().build().unwrap();
    assert_eq!(ends(&budget, "late", (0, 0)).await.0, Ok("fine"));
}

#[tokio::test(start_paused = true)]
async fn retries_of_other_kinds_are_sent_whatever_fails() {
    let budget = builder().build().unwrap();
    assert_eq!(ends(&budget, "reset", (0, 50)).await.0, Ok("fine"));
    for kind in [Kind::Transient, Kind::Throttled, Kind::Hedge] {
        let budget = builder().build().unwrap();
        let withdrawal = budget.try_withdraw(kind).unwrap();
        budget.failed(Kind::Timeout);
        assert!(!withdrawal.looks_vain(), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_follow_the_success_sends_it() {
    let budget = builder().follow_success(false).build().unwrap();
    assert_eq!(ends(&budget, "late", (0, 50)).await.0, Ok("fine"));
}

#[tokio::test(start_paused = true)]
async fn it_waits_two_steps_further() {
    for _ in 0..50 {
        let budget = builder().build().unwrap();
        let (result, took) = ends(&budget, "late", (1, 0)).await;
        assert_eq!(result, Ok("fine"));
        // The upper half of 25 ms × 4², and a tick of the timer.
        let range = Duration::from_millis(200)..=Duration::from_millis(401);
        assert!(range.contains(&took), "{took:?}");
        let (_, took) = ends(&budget, "reset", (1, 0)).await;
        assert!(took <= Duration::from_millis(26), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_backoff_it_is_sent_at_once() {
    let budget = builder().build().unwrap();
    let layer = RetryLayer::builder(budget).backoff(at_once());
    let layer = layer.policy(by_text).build().unwrap();
    let world = World::answering([Answer::Err("late"), Answer::Ok("fine")]);
    let start = Instant::now();
    let result = layer.layer(world.probe()).oneshot(()).await;
    assert_eq!((result, Instant::now()), (Ok("fine"), start));
}

#[test]
fn a_client_without_traffic_cannot_save_up_for_it() {
    let refused = Budget::new().try_withdraw(Kind::Timeout).unwrap_err();
    assert_eq!((refused.balance(), refused.price()), (10.0, 20.0));
    let budget = Budget::new();
    (0..100).for_each(|_| budget.deposit());
    assert!(budget.try_withdraw(Kind::Timeout).is_ok());
}

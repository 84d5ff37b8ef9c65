//! A request may be dropped at any stage: it releases what it holds and says no more than it knows.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::time::Duration;

use support::{Answer, Probe, Readiness, balance, endpoint, settle};
use tokio::time::{sleep, timeout};
use tokio_test::{assert_pending, task};
use tower::ServiceExt as _;
use tower_balance_p2c::BalanceLayer;
use tower_service::Service as _;

#[tokio::test(start_paused = true)]
async fn dropped_before_it_is_polled() {
    let probe = Probe::ready(1);
    let (mut balance, _discovery) = balance(BalanceLayer::new(), &[&probe]).await;
    drop(balance.call(()));
    assert_eq!(endpoint(&balance, 1).in_flight, 0);
    assert_eq!(balance.stats().picks, 0);
}

#[tokio::test(start_paused = true)]
async fn dropped_while_it_waits_for_an_endpoint() {
    let probe = Probe::new(1, Readiness::Permits(0));
    let (mut balance, _discovery) = balance(BalanceLayer::new(), &[&probe]).await;
    let mut request = task::spawn(balance.call(()));
    assert_pending!(request.poll());
    drop(request);
    probe.control.set(Readiness::Permits(1));
    settle().await;
    assert_eq!(probe.control.permits(), 1);
    let seen = endpoint(&balance, 1);
    assert_eq!((seen.in_flight, seen.requests, seen.latency), (0, 0, None));
    assert_eq!(seen.success, 1.0);
}

#[tokio::test(start_paused = true)]
async fn dropped_under_way_it_is_a_latency_of_at_least_its_age_and_no_failure() {
    let probe = Probe::ready(1).answering(Answer::Ok(Duration::from_millis(20)));
    let (balance, _discovery) = balance(BalanceLayer::new(), &[&probe]).await;
    balance.clone().oneshot(()).await.unwrap();
    assert_eq!(
        endpoint(&balance, 1).latency,
        Some(Duration::from_millis(20))
    );

    probe.control.answer(Answer::Never);
    let mut younger = task::spawn(balance.clone().oneshot(()));
    assert_pending!(younger.poll());
    assert_eq!(endpoint(&balance, 1).in_flight, 1);
    sleep(Duration::from_millis(7)).await;
    drop(younger);
    let seen = endpoint(&balance, 1);
    assert_eq!(seen.in_flight, 0);
    assert_eq!(seen.latency, Some(Duration::from_millis(20)));

    let older = timeout(Duration::from_millis(503), balance.clone().oneshot(()));
    assert!(older.await.is_err());
    let seen = endpoint(&balance, 1);
    assert_eq!(seen.latency, Some(Duration::from_millis(503)));
    assert_eq!((seen.requests, seen.failures, seen.success), (1, 0, 1.0));
}

/// Many pools, because which of the two gets the first request is a matter of chance.
#[tokio::test(start_paused = true)]
async fn a_hung_endpoint_is_found_out_by_the_timeouts_of_its_callers() {
    for _ in 0..40 {
        let hung = Probe::ready(1).answering(Answer::Never);
        let good = Probe::ready(2).answering(Answer::Ok(Duration::from_millis(20)));
        let (balance, _discovery) = balance(BalanceLayer::new(), &[&hung, &good]).await;
        let mut lost = 0;
        for _ in 0..100 {
            let request = timeout(Duration::from_millis(251), balance.clone().oneshot(()));
            lost += u32::from(request.await.is_err());
        }
        assert_eq!(lost, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_releases_and_says_nothing_of_latency() {
    let probe = Probe::ready(1).answering(Answer::Err(Duration::from_millis(3)));
    let (balance, _discovery) = balance(BalanceLayer::new(), &[&probe]).await;
    let mut request = task::spawn(balance.clone().oneshot(()));
    assert_pending!(request.poll());
    sleep(Duration::from_millis(5)).await;
    // The future is still there when its answer is counted.
    assert!(matches!(request.poll(), std::task::Poll::Ready(Err(_))));
    let seen = endpoint(&balance, 1);
    assert_eq!((seen.in_flight, seen.requests, seen.failures), (0, 1, 1));
    assert_eq!(seen.latency, None);
    assert!(seen.success < 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_response_releases_before_the_future_is_dropped() {
    let probe = Probe::ready(1);
    let (mut balance, _discovery) = balance(BalanceLayer::new(), &[&probe]).await;
    let mut request = task::spawn(balance.call(()));
    assert!(request.poll().is_ready());
    assert_eq!(endpoint(&balance, 1).in_flight, 0);
    drop(request);
    assert_eq!(endpoint(&balance, 1).in_flight, 0);
    assert_eq!(endpoint(&balance, 1).requests, 1);
}

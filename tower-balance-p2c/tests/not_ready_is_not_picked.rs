//! An endpoint that is down gets no request and loses none, and it comes back.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::time::Duration;

use support::{Probe, Readiness, balance, endpoint, settle, waiting};
use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, task};
use tower::ServiceExt as _;
use tower_balance_p2c::BalanceLayer;
use tower_service::Service as _;

#[tokio::test(start_paused = true)]
async fn one_of_two_is_down_and_no_request_is_lost_or_delayed() {
    let (up, down) = (Probe::ready(1), Probe::new(2, Readiness::Pending));
    let (balance, _discovery) = balance(BalanceLayer::new(), &[&up, &down]).await;
    let begun = Instant::now();
    for _ in 0..1000 {
        assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
    }
    assert_eq!(Instant::now(), begun);
    assert_eq!(down.control.calls(), 0);
    assert_eq!(balance.stats().ready, 1);
    assert_eq!(balance.stats().waits, 0);

    down.control.set(Readiness::Ready);
    settle().await;
    for _ in 0..100 {
        balance.clone().oneshot(()).await.unwrap();
    }
    assert!(down.control.calls() > 0);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_goes_down_is_left_in_the_same_poll() {
    let probes = [Probe::ready(1), Probe::ready(2), Probe::ready(3)];
    let (mut balance, _discovery) = balance(BalanceLayer::new(), &probes.each_ref()).await;
    probes[0].control.set(Readiness::Pending);
    probes[1].control.set(Readiness::Pending);
    for _ in 0..100 {
        let mut response = task::spawn(balance.call(()));
        match response.poll() {
            std::task::Poll::Ready(answer) => assert_eq!(answer.unwrap(), 3),
            std::task::Poll::Pending => panic!("an endpoint is ready, but the request waits"),
        }
        // Without the driver's help: each of the two was met once at the most.
        assert!(balance.stats().repicks <= 2);
    }
    settle().await;
    assert_eq!(balance.stats().ready, 1);
}

#[tokio::test(start_paused = true)]
async fn a_readiness_error_costs_no_request_and_the_endpoint_recovers() {
    let probes = [Probe::ready(1), Probe::ready(2)];
    let (balance, _discovery) = balance(BalanceLayer::new(), &probes.each_ref()).await;
    probes[0].control.set(Readiness::Failed);
    for _ in 0..100 {
        assert_eq!(balance.clone().oneshot(()).await.unwrap(), 2);
    }
    let failed = endpoint(&balance, 1);
    assert!(!failed.ready);
    assert_eq!((failed.requests, failed.failures), (0, 0));

    probes[0].control.set(Readiness::Ready);
    tokio::time::sleep(Duration::from_millis(211)).await;
    assert!(endpoint(&balance, 1).ready);
    assert_eq!(balance.stats().endpoints.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn readiness_errors_are_asked_about_less_and_less_often() {
    let probe = Probe::new(1, Readiness::Failed);
    let (balance, _discovery) = balance(BalanceLayer::new(), &[&probe]).await;
    let mut seen = Vec::new();
    for seconds in [1, 10, 100, 100] {
        tokio::time::sleep(Duration::from_millis(seconds * 1000 + 3)).await;
        seen.push(probe.control.polls());
    }
    // At 0, 0.1, 0.3, 0.7 s, then at 1.5, 3.1, 6.3 s, then each ten seconds.
    assert_eq!(seen, [4, 7, 17, 27]);

    probe.control.set(Readiness::Ready);
    tokio::time::sleep(Duration::from_millis(10_003)).await;
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
    // A new streak begins at the beginning.
    probe.control.set(Readiness::Failed);
    let request = tokio::spawn(balance.clone().oneshot(()));
    settle().await;
    probe.control.set(Readiness::Ready);
    advance(Duration::from_millis(103)).await;
    settle().await;
    assert_eq!(request.await.unwrap().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_only_endpoint_is_waited_out() {
    let probe = Probe::ready(1);
    let (balance, _discovery) = balance(BalanceLayer::new(), &[&probe]).await;
    probe.control.set(Readiness::Failed);
    let mut request = task::spawn(balance.clone().oneshot(()));
    assert_pending!(request.poll());
    settle().await;
    probe.control.set(Readiness::Ready);
    tokio::time::sleep(Duration::from_millis(301)).await;
    assert!(request.is_woken());
    assert_eq!(request.await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_ready_endpoint_is_found_among_many_that_are_down() {
    let probes: Vec<_> = (0..200)
        .map(|key| Probe::new(key, Readiness::Pending))
        .collect();
    probes[137].control.set(Readiness::Ready);
    let borrowed: Vec<_> = probes.iter().collect();
    let (balance, _discovery) = balance(waiting(Duration::ZERO), &borrowed).await;
    for _ in 0..50 {
        assert_eq!(balance.clone().oneshot(()).await.unwrap(), 137);
    }
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_is_not_taken_for_an_endpoint_that_is_down() {
    // A probe whose permits are tokio's: without budget they are pending although they are there.
    let semaphore = std::sync::Arc::new(tokio::sync::Semaphore::new(1000));
    let service = support::permits::Limited::new(semaphore);
    let changes = (0..4).map(move |key| {
        Ok::<_, support::Refused>(tower_balance_p2c::Change::Insert(key, service.clone()))
    });
    let (balance, driver) = BalanceLayer::new().pair(futures::stream::iter(changes));
    tokio::spawn(driver);
    settle().await;
    for _ in 0..1000 {
        balance.clone().oneshot(()).await.unwrap();
    }
    assert_eq!(balance.stats().repicks, 0);
}

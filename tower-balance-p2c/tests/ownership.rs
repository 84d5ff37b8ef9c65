//! The instance that was polled is the one called, and only the chosen endpoint is reserved.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::stream;
use support::{Answer, Probe, Readiness, Refused, balance, permits::Limited, settle};
use tokio::sync::Semaphore;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::ServiceExt as _;
use tower_balance_p2c::{BalanceLayer, Change};
use tower_service::Service as _;

#[tokio::test(start_paused = true)]
async fn an_idle_balancer_holds_no_permit() {
    let semaphore = Arc::new(Semaphore::new(2));
    let service = Limited::new(Arc::clone(&semaphore));
    let insert = move |key| Ok::<_, Refused>(Change::Insert(key, service.clone()));
    let (balance, driver) = BalanceLayer::new().pair(stream::iter((0..4).map(insert)));
    tokio::spawn(driver);
    settle().await;
    assert_eq!(balance.stats().ready, 4);
    assert_eq!(semaphore.available_permits(), 2);
    for _ in 0..100 {
        balance.clone().oneshot(()).await.unwrap();
    }
    assert_eq!(semaphore.available_permits(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_leaves_the_next_permit_to_the_first_in_line() {
    let semaphore = Arc::new(Semaphore::new(1));
    let service = Limited::new(Arc::clone(&semaphore));
    let insert = move |key| Ok::<_, Refused>(Change::Insert(key, service.clone()));
    let (balance, driver) = BalanceLayer::new().pair(stream::iter((0..4).map(insert)));
    tokio::spawn(driver);
    settle().await;
    let taken = Arc::clone(&semaphore).acquire_owned().await.unwrap();
    let requests: Vec<_> = (0..10)
        .map(|_| tokio::spawn(balance.clone().oneshot(())))
        .collect();
    settle().await;
    drop(taken);
    for request in requests {
        request.await.unwrap().unwrap();
    }
    settle().await;
    assert_eq!(semaphore.available_permits(), 1);
    assert_eq!(balance.stats().ready, 4);
}

#[tokio::test(start_paused = true)]
async fn clones_that_were_not_called_are_dropped() {
    let probes = [Probe::ready(1), Probe::new(2, Readiness::Permits(1))];
    let (balance, _discovery) = balance(BalanceLayer::new(), &probes.each_ref()).await;
    let at_rest = probes.each_ref().map(|probe| probe.control.clones());
    assert_eq!(at_rest, [2, 2]);
    assert_eq!(probes[1].control.permits(), 1);
    for _ in 0..100 {
        balance.clone().oneshot(()).await.unwrap();
    }
    settle().await;
    assert_eq!(
        probes.each_ref().map(|probe| probe.control.clones()),
        at_rest
    );
    assert_eq!(probes[1].control.permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn ready_stays_ready_whatever_becomes_of_the_endpoints() {
    let probe = Probe::ready(1);
    let (mut balance, discovery) = balance(BalanceLayer::new(), &[&probe]).await;
    let mut ready = task::spawn(());
    assert_ready_ok!(ready.enter(|cx, _| balance.poll_ready(cx)));
    probe.control.set(Readiness::Pending);
    assert_ready_ok!(ready.enter(|cx, _| balance.poll_ready(cx)));
    discovery.send(probe.remove()).unwrap();
    settle().await;
    assert_ready_ok!(ready.enter(|cx, _| balance.poll_ready(cx)));
    // Readiness reserved nothing, and the request ends in an error of its own.
    assert!(balance.call(()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_an_endpoint_does_not_go_there_after_its_removal() {
    let removed = Probe::ready(1);
    let (mut balance, discovery) = balance(BalanceLayer::new(), &[&removed]).await;
    removed.control.set(Readiness::Pending);
    let mut request = task::spawn(balance.call(()));
    assert_pending!(request.poll());
    discovery.send(removed.remove()).unwrap();
    settle().await;
    // The request is told, and lets go of the clone that it was waiting for.
    assert!(request.is_woken());
    assert_pending!(request.poll());
    assert_eq!(removed.control.clones(), 1);
    removed.control.set(Readiness::Ready);
    assert_pending!(request.poll());
    assert_eq!(removed.control.calls(), 0);

    let other = Probe::ready(2);
    discovery.send(other.insert()).unwrap();
    settle().await;
    assert!(request.is_woken());
    assert_eq!(assert_ready!(request.poll()).unwrap(), 2);
}

/// The removal comes between the choice and the call.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_removed_while_it_says_that_it_is_ready_is_not_called() {
    let (removed, other) = (Probe::ready(1), Probe::new(2, Readiness::Pending));
    let (discovery, stream) = support::discovery();
    discovery.send(removed.insert()).unwrap();
    discovery.send(other.insert()).unwrap();
    let (mut balance, driver) = BalanceLayer::new().pair(stream);
    let mut driver = task::spawn(driver);
    assert_pending!(driver.poll());
    assert_eq!(balance.stats().ready, 1);

    let driver = Arc::new(Mutex::new(driver));
    let (remove, up, polled) = (removed.remove(), other.control.clone(), driver.clone());
    removed.control.when_polled(move || {
        up.set(Readiness::Ready);
        discovery.send(remove).unwrap();
        assert_pending!(polled.lock().unwrap().poll());
    });
    assert_eq!(
        assert_ready!(task::spawn(balance.call(())).poll()).unwrap(),
        2
    );
    assert_eq!(removed.control.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn removals_never_send_a_request_to_what_was_removed() {
    let probes: Vec<_> = (0..10).map(Probe::ready).collect();
    let borrowed: Vec<_> = probes.iter().collect();
    let (mut balance, discovery) = balance(BalanceLayer::new(), &borrowed).await;
    for probe in &probes[..9] {
        // Ready before the removal, called after it: what was chosen must not be kept by index.
        let mut ready = task::spawn(());
        assert_ready_ok!(ready.enter(|cx, _| balance.poll_ready(cx)));
        discovery.send(probe.remove()).unwrap();
        settle().await;
        let calls = probe.control.calls();
        for _ in 0..50 {
            balance.call(()).await.unwrap();
        }
        assert_eq!(probe.control.calls(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_survives_the_removal_of_its_endpoint() {
    let probe = Probe::ready(1).answering(Answer::Ok(Duration::from_millis(50)));
    let (mut balance, discovery) = balance(BalanceLayer::new(), &[&probe]).await;
    let mut request = task::spawn(balance.call(()));
    assert_pending!(request.poll());
    discovery.send(probe.remove()).unwrap();
    settle().await;
    assert_eq!(balance.stats().endpoints.len(), 0);
    assert_eq!(request.await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_goes_with_towers_mock() {
    let (service, mut handle) = tower_test::mock::pair::<(), &str>();
    let insert = Ok::<_, Refused>(Change::Insert(1, service));
    let (balance, driver) = BalanceLayer::new().pair(stream::iter([insert]));
    tokio::spawn(driver);
    let request = tokio::spawn(balance.oneshot(()));
    let ((), respond) = handle.next_request().await.unwrap();
    respond.send_response("answer");
    assert_eq!(request.await.unwrap().unwrap(), "answer");
}

//! Every request that waits is woken, and none waits longer than it may.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{error::Error as _, time::Duration};

use support::{Answer, Probe, Readiness, Refused, balance, discovery, endpoint, settle, waiting};
use tokio::time::{Instant, sleep};
use tokio_test::{assert_pending, assert_ready, task};
use tower::ServiceExt as _;
use tower_balance_p2c::{
    Balance, BalanceLayer, BoxError,
    error::{NoEndpoint, Reason},
};
use tower_service::Service as _;

fn no_endpoint(error: &BoxError) -> &NoEndpoint {
    error.downcast_ref().unwrap()
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_for_an_empty_set_are_woken_by_an_insert() {
    let (mut balance, discovery) = balance(BalanceLayer::new(), &[]).await;
    let mut requests: Vec<_> = (0..64).map(|_| task::spawn(balance.call(()))).collect();
    for request in &mut requests {
        assert_pending!(request.poll());
    }
    sleep(Duration::from_micros(1003)).await;
    assert!(requests.iter().all(|request| !request.is_woken()));
    discovery.send(Probe::ready(1).insert()).unwrap();
    settle().await;
    for request in &mut requests {
        assert!(request.is_woken());
        assert_eq!(assert_ready!(request.poll()).unwrap(), 1);
    }
    assert_eq!(balance.stats().waits, 64);
}

/// A request that compares a few of many still finds the only one.
#[tokio::test(start_paused = true)]
async fn all_who_wait_for_a_big_set_are_woken_when_one_of_it_is_up() {
    let probes: Vec<_> = (0..200)
        .map(|key| Probe::new(key, Readiness::Pending))
        .collect();
    let borrowed: Vec<_> = probes.iter().collect();
    let (mut balance, discovery) = balance(BalanceLayer::new(), &borrowed).await;
    for key in [7, 199, 7] {
        let probe = &probes[key];
        let mut requests: Vec<_> = (0..10).map(|_| task::spawn(balance.call(()))).collect();
        for request in &mut requests {
            assert_pending!(request.poll());
        }
        probe.control.set(Readiness::Ready);
        settle().await;
        for request in &mut requests {
            assert!(request.is_woken());
            assert_eq!(assert_ready!(request.poll()).unwrap(), probe.control.key);
        }
        // One goes by itself, the other is taken away, and the next ones wait again.
        if key == 7 {
            probe.control.set(Readiness::Pending);
        } else {
            discovery.send(probe.remove()).unwrap();
            settle().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_for_one_endpoint_are_woken_when_it_is_up() {
    let probe = Probe::new(1, Readiness::Pending);
    let (mut balance, _discovery) = balance(BalanceLayer::new(), &[&probe]).await;
    let mut requests: Vec<_> = (0..64).map(|_| task::spawn(balance.call(()))).collect();
    for request in &mut requests {
        assert_pending!(request.poll());
    }
    probe.control.set(Readiness::Ready);
    settle().await;
    for request in &mut requests {
        assert!(request.is_woken());
        assert_eq!(assert_ready!(request.poll()).unwrap(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn one_permit_serves_all_who_wait_for_it() {
    let probe = Probe::new(1, Readiness::Permits(1));
    probe.control.answer(Answer::Ok(Duration::from_millis(7)));
    let (balance, _discovery) = balance(waiting(Duration::MAX), &[&probe]).await;
    let requests: Vec<_> = (0..64)
        .map(|_| tokio::spawn(balance.clone().oneshot(())))
        .collect();
    let begun = Instant::now();
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap(), 1);
    }
    assert_eq!(Instant::now() - begun, Duration::from_millis(7 * 64));
    settle().await;
    assert_eq!(probe.control.permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_empty_set_ends_in_an_error_after_the_bound() {
    let (balance, _discovery) = balance(BalanceLayer::new(), &[]).await;
    let begun = Instant::now();
    let error = balance.oneshot(()).await.unwrap_err();
    assert_eq!(Instant::now() - begun, Duration::from_secs(1));
    let error = no_endpoint(&error);
    assert_eq!(error.reason(), Reason::Empty);
    assert_eq!(error.endpoints(), 0);
    assert_eq!(error.waited(), Duration::from_secs(1));
    assert!(error.to_string().contains("no endpoint after waiting 1s"));
    assert!(error.source().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_down_ends_in_an_error_after_the_bound() {
    let probes = [1, 2, 3].map(|key| Probe::new(key, Readiness::Pending));
    let wait = Duration::from_millis(1703);
    let (balance, _discovery) = balance(waiting(wait), &probes.each_ref()).await;
    let begun = Instant::now();
    let error = balance.oneshot(()).await.unwrap_err();
    assert_eq!(Instant::now() - begun, wait);
    let error = no_endpoint(&error);
    assert_eq!(error.reason(), Reason::NotReady);
    assert_eq!(error.endpoints(), 3);
    assert_eq!(error.waited(), wait);
    assert!(error.to_string().contains("none of 3 endpoints"));
}

#[tokio::test(start_paused = true)]
async fn being_woken_for_nothing_does_not_extend_the_bound() {
    let probe = Probe::new(1, Readiness::Pending);
    let (balance, discovery) = balance(BalanceLayer::new(), &[&probe]).await;
    let begun = Instant::now();
    let request = tokio::spawn(balance.oneshot(()));
    for key in 2..20 {
        sleep(Duration::from_millis(51)).await;
        discovery
            .send(Probe::new(key, Readiness::Pending).insert())
            .unwrap();
    }
    assert!(request.await.unwrap().is_err());
    assert_eq!(Instant::now() - begun, Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_error_tells_the_last_readiness_error_that_the_request_met() {
    let probe = Probe::ready(1);
    let (balance, _discovery) = balance(BalanceLayer::new(), &[&probe]).await;
    probe.control.set(Readiness::Failed);
    let error = balance.oneshot(()).await.unwrap_err();
    let source = no_endpoint(&error).source().unwrap();
    assert_eq!(source.downcast_ref(), Some(&Refused(1)));
}

#[tokio::test(start_paused = true)]
async fn zero_does_not_wait() {
    let probe = Probe::ready(1);
    let (mut balance, _discovery) = balance(waiting(Duration::ZERO), &[&probe]).await;
    assert_eq!(
        assert_ready!(task::spawn(balance.call(())).poll()).unwrap(),
        1
    );
    probe.control.set(Readiness::Pending);
    let error = assert_ready!(task::spawn(balance.call(())).poll()).unwrap_err();
    assert_eq!(no_endpoint(&error).waited(), Duration::ZERO);
    assert_eq!(balance.stats().waits, 0);
}

#[tokio::test(start_paused = true)]
async fn max_waits_for_ever() {
    let (mut balance, discovery) = balance(waiting(Duration::MAX), &[]).await;
    let mut request = task::spawn(balance.call(()));
    assert_pending!(request.poll());
    sleep(Duration::from_secs(60 * 60 * 24 * 365)).await;
    assert!(!request.is_woken());
    discovery.send(Probe::ready(1).insert()).unwrap();
    settle().await;
    assert_eq!(assert_ready!(request.poll()).unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_driver_the_last_set_keeps_working() {
    let probes = [
        Probe::ready(1),
        Probe::new(2, Readiness::Pending),
        Probe::ready(3),
    ];
    let (sender, stream) = discovery();
    for probe in &probes {
        sender.send(probe.insert()).unwrap();
    }
    let (balance, driver) = Balance::new(stream);
    let driver = tokio::spawn(driver);
    settle().await;
    assert!(balance.stats().driver_running);
    driver.abort();
    settle().await;
    assert!(!balance.stats().driver_running);

    // Every endpoint is a candidate, the one that was not ready too.
    probes[1].control.set(Readiness::Ready);
    for _ in 0..200 {
        balance.clone().oneshot(()).await.unwrap();
    }
    assert!(probes.iter().all(|probe| probe.control.calls() > 20));
    // One that goes down is left, and is found again without anyone's help.
    for _ in 0..2 {
        probes[0].control.set(Readiness::Pending);
        for _ in 0..100 {
            assert_ne!(balance.clone().oneshot(()).await.unwrap(), 1);
        }
        probes[0].control.set(Readiness::Ready);
        let calls = probes[0].control.calls();
        for _ in 0..100 {
            balance.clone().oneshot(()).await.unwrap();
        }
        assert!(probes[0].control.calls() > calls);
        assert!(endpoint(&balance, 1).ready);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_driver_a_request_waits_for_its_own_clone() {
    let probe = Probe::ready(1);
    let (mut balance, driver) = Balance::new(futures::stream::iter([probe.insert()]));
    let driver = tokio::spawn(driver);
    settle().await;
    probe.control.set(Readiness::Pending);
    let mut request = task::spawn(balance.call(()));
    assert_pending!(request.poll());
    driver.abort();
    settle().await;
    let _ = request.poll();
    probe.control.set(Readiness::Ready);
    assert!(request.is_woken());
    assert_eq!(assert_ready!(request.poll()).unwrap(), 1);

    probe.control.set(Readiness::Failed);
    let begun = Instant::now();
    let error = balance.oneshot(()).await.unwrap_err();
    assert_eq!(Instant::now() - begun, Duration::from_secs(1));
    assert_eq!(no_endpoint(&error).reason(), Reason::NotReady);
}

#[test]
fn a_request_that_finds_an_endpoint_ready_needs_no_runtime() {
    let probe = Probe::ready(1);
    let (balance, driver) = Balance::new(futures::stream::iter([probe.insert()]));
    assert_pending!(task::spawn(driver).poll());
    assert_eq!(
        assert_ready!(task::spawn(balance.oneshot(())).poll()).unwrap(),
        1
    );
}

#[test]
#[should_panic(expected = "Tokio")]
fn a_request_that_has_to_wait_needs_one() {
    let (balance, _driver) =
        waiting(Duration::from_secs(1)).pair::<_, u32, Probe, _>(discovery().1);
    let _ = task::spawn(balance.oneshot(())).poll();
}

#[test]
fn a_request_that_does_not_wait_needs_none() {
    let (balance, _driver) = waiting(Duration::ZERO).pair::<_, u32, Probe, _>(discovery().1);
    let error = assert_ready!(task::spawn(balance.oneshot(())).poll()).unwrap_err();
    assert_eq!(no_endpoint(&error).reason(), Reason::Empty);
}

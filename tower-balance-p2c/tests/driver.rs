//! The driver works while no request does, and ends when it should.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt as _, stream};
use support::{
    Answer, Item, Probe, Readiness, Refused, balance, discovery, endpoint, settle, waiting,
};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{ServiceBuilder, ServiceExt as _};
use tower_balance_p2c::{Balance, BalanceLayer, Change};
use tower_layer::Layer as _;
use tower_service::Service as _;

#[tokio::test(start_paused = true)]
async fn discovery_and_readiness_go_on_without_requests() {
    let (balance, discovery) = balance(BalanceLayer::new(), &[]).await;
    let (early, late) = (Probe::ready(1), Probe::new(2, Readiness::Pending));
    discovery.send(early.insert()).unwrap();
    discovery.send(late.insert()).unwrap();
    settle().await;
    assert_eq!(balance.stats().endpoints.len(), 2);
    assert_eq!(balance.stats().ready, 1);
    late.control.set(Readiness::Ready);
    settle().await;
    assert_eq!(balance.stats().ready, 2);
    discovery.send(early.remove()).unwrap();
    settle().await;
    assert_eq!(balance.stats().endpoints.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_removed_is_not_driven_any_more() {
    let probe = Probe::new(1, Readiness::Pending);
    let (_balance, discovery) = balance(BalanceLayer::new(), &[&probe]).await;
    assert_eq!(probe.control.clones(), 3);
    discovery.send(probe.remove()).unwrap();
    settle().await;
    assert_eq!(probe.control.clones(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_drive_at_a_time() {
    let probe = Probe::ready(1);
    let (mut balance, _discovery) = balance(BalanceLayer::new(), &[&probe]).await;
    probe.control.set(Readiness::Pending);
    let mut requests: Vec<_> = (0..64).map(|_| task::spawn(balance.call(()))).collect();
    for request in &mut requests {
        assert_pending!(request.poll());
    }
    settle().await;
    // The test's, the set's and the drive's, and the one of the request that found out.
    assert_eq!(probe.control.clones(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_discovery_that_has_ended_is_not_polled_again() {
    let probe = Probe::ready(1);
    let first = probe.insert();
    // Panics when it is polled after its end.
    let stream = stream::unfold(Some(first), |item| async { item.map(|item| (item, None)) });
    let (balance, driver) = Balance::new(stream);
    let driver = tokio::spawn(driver);
    for _ in 0..20 {
        probe.control.set(Readiness::Pending);
        let request = tokio::spawn(balance.clone().oneshot(()));
        settle().await;
        probe.control.set(Readiness::Ready);
        assert_eq!(request.await.unwrap().unwrap(), 1);
    }
    assert!(!driver.is_finished());
    assert!(balance.stats().driver_running);
}

#[tokio::test(start_paused = true)]
async fn a_discovery_error_changes_nothing_and_discovery_goes_on() {
    let (balance, discovery) = balance(BalanceLayer::new(), &[&Probe::ready(1)]).await;
    discovery.send(Err(Refused(9))).unwrap();
    discovery.send(Probe::ready(2).insert()).unwrap();
    settle().await;
    assert_eq!(balance.stats().ready, 2);
    assert!(balance.clone().oneshot(()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_discovery_that_fails_now_and_then_is_not_slowed_down() {
    let (balance, discovery) = balance(BalanceLayer::new(), &[]).await;
    for key in 0..3 {
        discovery.send(Err(Refused(9))).unwrap();
        discovery.send(Probe::ready(key).insert()).unwrap();
    }
    settle().await;
    assert_eq!(balance.stats().ready, 3);
}

#[tokio::test(start_paused = true)]
async fn a_discovery_that_does_nothing_but_fail_is_asked_less_and_less_often() {
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&polls);
    let stream = stream::repeat_with(move || -> Item {
        counted.fetch_add(1, Ordering::SeqCst);
        Err(Refused(9))
    });
    let (balance, driver) = Balance::<_, _, ()>::new(stream);
    tokio::spawn(driver);
    tokio::time::sleep(Duration::from_millis(1003)).await;
    assert_eq!(polls.load(Ordering::SeqCst), 5);
    assert!(balance.oneshot(()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_discovery_without_end_or_pause_lets_others_run() {
    let probes: Vec<_> = (0..8).map(Probe::ready).collect();
    let mut inserts = 0;
    let stream = stream::repeat_with(move || {
        inserts += 1;
        probes[inserts % probes.len()].insert()
    });
    let (balance, driver) = Balance::new(stream);
    let mut driver = task::spawn(driver);
    assert_pending!(driver.poll());
    assert!(driver.is_woken());
    assert_eq!(balance.stats().ready, 8);
    assert!(balance.clone().oneshot(()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_big_set_is_taken_in_whole() {
    let service = Probe::ready(0);
    let inserts = (0..5000).map(move |key| Ok::<_, Refused>(Change::Insert(key, service.clone())));
    let (balance, driver) = Balance::new(stream::iter(inserts).chain(stream::pending()));
    tokio::spawn(driver);
    for _ in 0..20 {
        settle().await;
    }
    assert_eq!(balance.stats().ready, 5000);
}

#[tokio::test(start_paused = true)]
async fn inserting_a_key_again_keeps_its_history_and_takes_the_new_service() {
    let old = Probe::ready(1).answering(Answer::Ok(Duration::from_millis(31)));
    let (mut balance, discovery) = balance(BalanceLayer::new(), &[&old]).await;
    balance.clone().oneshot(()).await.unwrap();
    let mut under_way = task::spawn(balance.call(()));
    assert_pending!(under_way.poll());

    let new = Probe::ready(1).answering(Answer::Err(Duration::ZERO));
    discovery.send(new.insert()).unwrap();
    settle().await;
    let history = endpoint(&balance, 1);
    assert_eq!(history.latency, Some(Duration::from_millis(31)));
    assert_eq!((history.requests, history.in_flight), (1, 1));
    assert!(balance.clone().oneshot(()).await.is_err());
    assert_eq!(new.control.calls(), 1);
    assert_eq!(under_way.await.unwrap(), 1);
    let history = endpoint(&balance, 1);
    assert_eq!(
        (history.requests, history.failures, history.in_flight),
        (3, 1, 0)
    );
    assert!(history.ready);
    assert_eq!(old.control.clones(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_ready_at_once_is_replaced_without_a_gap() {
    let (balance, discovery) = balance(waiting(Duration::ZERO), &[&Probe::ready(1)]).await;
    for _ in 0..20 {
        discovery.send(Probe::ready(1).insert()).unwrap();
        tokio::task::yield_now().await;
        assert!(balance.clone().oneshot(()).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_ends_the_driver_and_drops_discovery_and_endpoints() {
    let probe = Probe::new(1, Readiness::Pending);
    let (sender, stream) = discovery();
    sender.send(probe.insert()).unwrap();
    let (balance, driver) = Balance::<_, _, ()>::new(stream);
    let mut driver = task::spawn(driver);
    assert_pending!(driver.poll());
    while driver.is_woken() {
        assert_pending!(driver.poll());
    }
    let other = balance.clone();
    drop(balance);
    assert!(!driver.is_woken());
    drop(other);
    assert!(driver.is_woken());
    assert_ready!(driver.poll());
    assert!(sender.is_closed());
    // While the object is still there.
    assert_eq!(probe.control.clones(), 1);
    drop(driver);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_keeps_the_driver() {
    let (sender, stream) = discovery();
    let (balance, driver) = Balance::new(stream);
    let driver = tokio::spawn(driver);
    let request = tokio::spawn(balance.oneshot(()));
    settle().await;
    assert!(!driver.is_finished());
    sender.send(Probe::ready(1).insert()).unwrap();
    assert_eq!(request.await.unwrap().unwrap(), 1);
    settle().await;
    assert!(driver.is_finished());
}

#[tokio::test(start_paused = true)]
async fn the_layer_spawns_the_driver() {
    let service = ServiceBuilder::new()
        .layer(BalanceLayer::new())
        .service(stream::iter([Probe::ready(1).insert()]));
    settle().await;
    assert!(service.stats().driver_running);
    assert_eq!(service.oneshot(()).await.unwrap(), 1);
}

#[test]
fn outside_of_a_runtime_the_layer_keeps_the_driver_until_the_first_poll() {
    let layer = BalanceLayer::new();
    let balance = layer.layer(stream::iter([Probe::ready(1).insert()]));
    let unused = layer.layer(stream::iter([Probe::ready(2).insert()]));
    assert!(!balance.stats().driver_running);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
        assert!(balance.stats().driver_running);
    });
    drop(unused);
}

/// Neither an exotic request nor the absence of errors gets in the way.
#[test]
fn the_types_are_send_sync_and_static_whatever_the_request() {
    fn is_shared<T: Clone + Send + Sync + 'static>(value: T) -> T {
        value
    }
    type Request = std::rc::Rc<()>;
    let layer = is_shared(BalanceLayer::<Request>::new());
    let service = tower::service_fn(|_: Request| async { Ok::<_, Infallible>(()) });
    let changes = stream::iter([Ok::<_, Infallible>(Change::Insert("a", service))]);
    let balance = is_shared(layer.layer(changes));
    drop(is_shared(balance));
    let _debug = format!("{layer:?}");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_panics_when_asked_does_not_stop_the_driver() {
    let (panics, works) = (Probe::ready(1), Probe::ready(2));
    panics.control.when_polled(|| panic!("asked at a bad time"));
    let (balance, discovery) = balance(BalanceLayer::new(), &[&panics, &works]).await;
    assert!(balance.stats().driver_running);
    assert!(!endpoint(&balance, 1).ready);
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 2);
    tokio::time::sleep(Duration::from_millis(211)).await;
    assert!(endpoint(&balance, 1).ready, "it is asked again");
    discovery.send(Probe::ready(3).insert()).unwrap();
    settle().await;
    assert_eq!(balance.stats().ready, 3);
}

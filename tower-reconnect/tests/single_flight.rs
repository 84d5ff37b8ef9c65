//! All clones share one dial and one connection, and every waiter has its own waker.

mod support;

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::ServiceExt;
use tower_reconnect::{ReconnectLayer, State};
use tower_service::Service;
use tower_test::mock::Spawn;

use support::{Dial, Peer, TICK, pass, settle};

#[tokio::test(start_paused = true)]
async fn sixty_four_clones_make_one_dial_and_all_are_woken_by_it() {
    let peer = Peer::new(&[Dial::AcceptAfter(TICK * 100)]);
    let service = peer.connect_by_default();
    let mut waiting: Vec<_> = (0..64).map(|_| Spawn::new(service.clone())).collect();
    for waiter in &mut waiting {
        assert_pending!(waiter.poll_ready());
    }
    pass(TICK * 102).await;
    for waiter in &mut waiting {
        assert!(waiter.is_woken(), "a wakeup was lost");
        assert_ready_ok!(waiter.poll_ready());
    }
    assert_eq!((peer.dials(), peer.dialling()), (1, (0, 1)));
    assert_eq!(service.watch().stats().connections, 1);
}

/// tower-resilience keeps the last waker only: of four clones, three waited for a later timer.
#[tokio::test(start_paused = true)]
async fn clones_in_tasks_of_their_own_get_the_connection_when_it_is_made() {
    let peer = Peer::new(&[Dial::AcceptAfter(TICK * 100)]);
    let service = peer.connect_by_default();
    let started = Instant::now();
    let requests: Vec<_> = (0..4)
        .map(|request| tokio::spawn(service.clone().oneshot(request)))
        .collect();
    for (request, response) in requests.into_iter().enumerate() {
        assert_eq!(response.await.unwrap().unwrap(), (1, request as u64));
    }
    assert!(Instant::now() - started < TICK * 103);
}

#[tokio::test(start_paused = true)]
async fn whoever_began_the_dial_may_leave() {
    let peer = Peer::new(&[Dial::AcceptAfter(TICK * 100)]);
    let service = peer.connect_by_default();
    let mut first = Spawn::new(service.clone());
    assert_pending!(first.poll_ready());
    settle().await;
    assert_eq!(peer.dialling().0, 1);
    let mut second = Spawn::new(service);
    assert_pending!(second.poll_ready());
    drop(first);
    pass(TICK * 102).await;
    assert!(second.is_woken());
    assert_ready_ok!(second.poll_ready());
    assert_eq!(peer.dials(), 1);
}

/// The dial goes on, for whoever comes next.
#[tokio::test(start_paused = true)]
async fn a_dial_outlives_all_who_waited_for_it() {
    let peer = Peer::new(&[Dial::AcceptAfter(TICK * 100)]);
    let service = peer.connect_by_default();
    let wait = timeout(TICK * 10, service.clone().oneshot(1));
    assert!(wait.await.is_err());
    pass(TICK * 97).await;
    assert!(service.watch().state().is_connected());
    assert_eq!(service.oneshot(2).await.unwrap(), (1, 2));
    assert_eq!(peer.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_waker_of_the_last_poll_is_the_one_that_is_woken() {
    let peer = Peer::new(&[Dial::AcceptAfter(TICK * 10)]);
    let mut service = peer.connect_by_default();
    let mut first = task::spawn(());
    let mut second = task::spawn(());
    assert_pending!(first.enter(|context, _| service.poll_ready(context)));
    assert_pending!(second.enter(|context, _| service.poll_ready(context)));
    pass(TICK * 12).await;
    assert!(!first.is_woken());
    assert!(second.is_woken());
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_replaced_once_for_all_clones() {
    let peer = Peer::new(&[Dial::AcceptAfter(TICK)]);
    let service = peer.connect_by_default();
    let mut clones: Vec<_> = (0..16).map(|_| Spawn::new(service.clone())).collect();
    for round in 1..=3 {
        for clone in &mut clones {
            let _ = clone.poll_ready();
        }
        pass(TICK * 3).await;
        for clone in &mut clones {
            assert_ready_ok!(clone.poll_ready());
            let response = clone.call(round);
            assert_eq!(response.await.unwrap(), (round as usize, round));
        }
        pass(Duration::from_secs(6)).await;
        peer.link().kill();
    }
    assert_eq!((peer.dials(), peer.dialling()), (3, (0, 1)));
}

/// Parked clones of a dead connection may be many, and each of them finds out on its own.
#[tokio::test(start_paused = true)]
async fn a_late_report_of_an_old_connection_does_not_end_the_new_one() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = peer.connect_by_default();
    let mut late = service.clone();
    service.ready().await.unwrap();
    late.ready().await.unwrap();
    pass(Duration::from_secs(6)).await;
    peer.link().kill();
    service.ready().await.unwrap();
    assert_eq!(late.ready().await.unwrap().call(7).await.unwrap(), (2, 7));
    assert_eq!(peer.dials(), 2);
}

/// It may not show to all: what one handle has reported, the others do not use either.
#[tokio::test(start_paused = true)]
async fn a_connection_that_died_for_one_is_dead_for_all() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut one = Spawn::new(peer.connect_by_default());
    let mut other = one.clone();
    for handle in [&mut one, &mut other] {
        let _ = handle.poll_ready();
        settle().await;
        assert_ready_ok!(handle.poll_ready());
    }
    peer.link().fail_once();
    assert_pending!(one.poll_ready());
    assert_pending!(other.poll_ready());
    pass(TICK * 150).await;
    assert_ready_ok!(other.poll_ready());
    assert_eq!(other.call(1).await.unwrap(), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_handle_clones_the_connection_once() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = peer.connect_by_default();
    for request in 0..100 {
        let response = service.ready().await.unwrap().call(request).await;
        assert_eq!(response.unwrap(), (1, request));
    }
    assert_eq!(peer.link().clones(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_left_is_no_demand() {
    let peer = Peer::new(&[Dial::Refuse]);
    let service = peer.connect_by_default();
    assert!(timeout(TICK * 3, service.clone().oneshot(1)).await.is_err());
    pass(Duration::from_secs(60)).await;
    assert_eq!(peer.dials(), 1, "dialled for nobody");
    assert!(matches!(service.watch().state(), State::Idle));
}

/// A balancer keeps a handle that it clones for each request and never polls itself.
#[tokio::test(start_paused = true)]
async fn clones_of_a_handle_that_was_never_polled_are_ready_at_once() {
    let peer = Peer::new(&[Dial::AcceptAfter(TICK)]);
    let prototype = peer.connect(ReconnectLayer::builder("peer"));
    assert_eq!(prototype.clone().oneshot(1).await.unwrap(), (1, 1));
    for request in 0..100 {
        let mut clone = Spawn::new(prototype.clone());
        assert_ready_ok!(clone.poll_ready());
        let response = clone.call(request);
        assert_eq!(response.await.unwrap(), (1, request));
    }
    assert_eq!(peer.dials(), 1);
}

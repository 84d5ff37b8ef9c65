//! A connection that nobody uses is closed, and made again for the next request.

mod support;

use std::time::Duration;

use tokio_test::{assert_pending, assert_ready_ok};
use tower::ServiceExt;
use tower_reconnect::{Reconnect, ReconnectLayer, State};
use tower_service::Service;
use tower_test::mock::Spawn;

use support::{Connection, Dial, Peer, TICK, pass};

const IDLE: Duration = Duration::from_secs(8);

#[tokio::test(start_paused = true)]
async fn it_is_closed_between_once_and_one_and_a_half_times_the_idle_time() {
    for before in 0..10 {
        let peer = Peer::new(&[Dial::Accept]);
        let mut service = idle(&peer);
        service.ready().await.unwrap();
        pass(TICK * 400 * before).await;
        service.call(1).await.unwrap();
        pass(IDLE - TICK * 20).await;
        assert_eq!(peer.link().alive(), 1, "closed too early");
        pass(IDLE / 2 + TICK * 50).await;
        assert_eq!(peer.link().alive(), 0, "still open");
        assert!(matches!(service.watch().state(), State::Idle));
        assert_eq!(service.watch().stats().unused, 1);
        assert_eq!(
            service.ready().await.unwrap().call(2).await.unwrap(),
            (2, 2)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_now_and_then_keeps_it() {
    let peer = Peer::new(&[Dial::Accept]);
    let service = idle(&peer);
    for request in 0..40 {
        assert_eq!(
            service.clone().oneshot(request).await.unwrap(),
            (1, request)
        );
        pass(IDLE - TICK * 20).await;
    }
    assert_eq!(peer.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn readiness_is_no_use_but_a_promise_is_kept() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = Spawn::new(idle(&peer));
    assert_pending!(service.poll_ready());
    pass(TICK).await;
    assert_ready_ok!(service.poll_ready());
    pass(IDLE * 2).await;
    assert!(matches!(service.get_ref().watch().state(), State::Idle));
    assert_ready_ok!(service.poll_ready());
    assert_eq!(service.call(1).await.unwrap(), (1, 1));
    assert_eq!(peer.link().alive(), 0);
    assert_pending!(service.poll_ready());
    pass(TICK).await;
    assert_ready_ok!(service.poll_ready());
    assert_eq!(service.call(2).await.unwrap(), (2, 2));
}

/// Else one that nobody uses would be renewed for ever.
#[tokio::test(start_paused = true)]
async fn age_does_not_make_an_unused_one_used() {
    let peer = Peer::new(&[Dial::Accept]);
    let builder = ReconnectLayer::builder("peer");
    let service = peer.connect(builder.idle(IDLE).max_age(IDLE));
    service.clone().oneshot(1).await.unwrap();
    pass(IDLE * 2).await;
    assert!(matches!(service.watch().state(), State::Idle));
    assert_eq!((peer.dials(), service.watch().stats().replaced), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn closing_it_is_no_failure_and_leaves_no_cause() {
    let peer = Peer::new(&[Dial::Accept]);
    let service = idle(&peer);
    for request in 1..=5 {
        service.clone().oneshot(request).await.unwrap();
        pass(IDLE * 2).await;
    }
    let stats = service.watch().stats();
    assert_eq!((stats.lost, stats.failures, stats.unused), (0, 0, 5));
    assert!(service.watch().last_cause().is_none());
}

fn idle(peer: &Peer) -> Reconnect<Connection> {
    peer.connect(ReconnectLayer::builder("peer").idle(IDLE))
}

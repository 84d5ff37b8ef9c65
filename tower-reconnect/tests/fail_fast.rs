//! In fail-fast mode a handle waits for a dial, but not for a backoff.

mod support;

use std::{error::Error, time::Duration};

use tokio::time::{Instant, timeout};
use tokio_test::{assert_pending, assert_ready_ok};
use tower::ServiceExt;
use tower_reconnect::{Mode, Reconnect, ReconnectLayer, State, error::Unavailable};
use tower_service::Service;
use tower_test::mock::Spawn;

use support::{Connection, Dial, Failure, Peer, TICK, pass, settle};

#[tokio::test(start_paused = true)]
async fn the_first_dial_is_waited_for() {
    let peer = Peer::new(&[Dial::AcceptAfter(TICK * 50)]);
    assert_eq!(fail_fast(&peer).oneshot(1).await.unwrap(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_for_a_dial_that_fails_are_told_why_and_when_the_next_is_due() {
    let peer = Peer::new(&[Dial::RefuseAfter(TICK * 50)]);
    let service = fail_fast(&peer);
    let mut waiting: Vec<_> = (0..16).map(|_| Spawn::new(service.clone())).collect();
    for waiter in &mut waiting {
        assert_pending!(waiter.poll_ready());
    }
    pass(TICK * 52).await;
    for waiter in &mut waiting {
        assert!(waiter.is_woken());
        assert_ready_ok!(waiter.poll_ready());
        let error = waiter.call(1).await.unwrap_err();
        let error = error.downcast_ref::<Unavailable>().unwrap();
        let source = error.source().unwrap();
        assert_eq!(source.downcast_ref(), Some(&Failure("refused")));
        assert_eq!(error.failures(), 1);
        assert_eq!(error.name(), Some("the peer"));
        let State::BackingOff { until, .. } = service.watch().state() else {
            panic!("no backoff");
        };
        assert_eq!(error.next_attempt(), until);
        let text = error.to_string();
        assert!(text.starts_with("no connection to `the peer` after 1 failed in a row: retry in "));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_dial_is_waited_for_no_longer_than_the_connect_timeout() {
    let peer = Peer::new(&[Dial::Hang]);
    let started = Instant::now();
    let error = fail_fast(&peer).oneshot(1).await.unwrap_err();
    assert!(error.is::<Unavailable>());
    assert!(Instant::now() - started < Duration::from_secs(1) + TICK * 3);
}

#[tokio::test(start_paused = true)]
async fn requests_during_a_backoff_fail_at_once_and_dial_no_more() {
    let peer = Peer::new(&[Dial::Refuse]);
    let service = fail_fast(&peer);
    assert!(service.clone().oneshot(1).await.is_err());
    let started = Instant::now();
    for request in 0..1000 {
        assert!(service.clone().oneshot(request).await.is_err());
    }
    assert_eq!((Instant::now(), peer.dials()), (started, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_is_demand_for_the_next_dial_and_silence_is_not() {
    let peer = Peer::new(&[Dial::Refuse, Dial::Refuse, Dial::Accept]);
    let service = fail_fast(&peer);
    assert!(service.clone().oneshot(1).await.is_err());
    assert!(service.clone().oneshot(2).await.is_err());
    pass(TICK * 150).await;
    assert_eq!(peer.dials(), 2, "without anybody who polls");
    pass(Duration::from_secs(60)).await;
    assert_eq!(peer.dials(), 2, "without anybody who asked");
    assert!(matches!(service.watch().state(), State::Idle));
    assert_eq!(service.oneshot(3).await.unwrap(), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_kept_for_the_connection_that_follows() {
    let peer = Peer::new(&[Dial::Refuse, Dial::Accept]);
    let mut service = fail_fast(&peer);
    service.ready().await.unwrap();
    pass(TICK * 150).await;
    assert!(service.watch().state().is_connected());
    service.ready().await.unwrap();
    assert_eq!(service.call(1).await.unwrap(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn ready_to_refuse_stays_ready_while_the_next_dial_is_under_way() {
    let peer = Peer::new(&[Dial::Refuse, Dial::Hang]);
    let mut service = Spawn::new(fail_fast(&peer));
    assert_pending!(service.poll_ready());
    settle().await;
    assert_ready_ok!(service.poll_ready());
    pass(TICK * 150).await;
    assert!(matches!(
        service.get_ref().watch().state(),
        State::Connecting
    ));
    assert_ready_ok!(service.poll_ready());
    let refused = service.call(1).await;
    assert!(refused.unwrap_err().is::<Unavailable>());
    assert_pending!(service.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn the_loss_of_a_stable_connection_is_a_dial_to_wait_for() {
    let peer = Peer::new(&[Dial::AcceptAfter(TICK)]);
    let mut service = fail_fast(&peer);
    service.ready().await.unwrap();
    pass(Duration::from_secs(6)).await;
    peer.link().kill();
    assert_eq!(service.oneshot(1).await.unwrap(), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn the_loss_of_a_young_connection_is_a_refusal() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = fail_fast(&peer);
    service.ready().await.unwrap();
    peer.link().kill();
    let error = service.oneshot(1).await.unwrap_err();
    let source = error.source().unwrap();
    assert_eq!(source.downcast_ref(), Some(&Failure("connection reset")));
}

/// Contract: nothing waits for ever, whatever the peer does.
#[tokio::test(start_paused = true)]
async fn no_request_waits_longer_than_a_connect_timeout() {
    let peer = Peer::new(&[Dial::Hang]);
    let service = fail_fast(&peer);
    for request in 0..50 {
        let bounded = timeout(
            Duration::from_millis(1010),
            service.clone().oneshot(request),
        );
        assert!(bounded.await.expect("waited too long").is_err());
        pass(TICK * 97).await;
    }
}

fn fail_fast(peer: &Peer) -> Reconnect<Connection> {
    let builder = ReconnectLayer::builder("peer");
    peer.connect(builder.mode(Mode::FailFast).name("the peer"))
}

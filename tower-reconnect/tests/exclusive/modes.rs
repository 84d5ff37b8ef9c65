//! What a handle without a connection says.

use crate::support::{Dial, Failure, Peer, TICK, pass};
use crate::{exclusive, peer_with, waiters};
use std::{error::Error, time::Duration};
use tokio::time::{Instant, timeout};
use tokio_test::{assert_pending, assert_ready_ok};
use tower::ServiceExt;
use tower_reconnect::error::{NoRuntime, StillConnecting, Unavailable};
use tower_reconnect::{Mode, State};
use tower_test::mock::Spawn;

#[tokio::test(start_paused = true)]
async fn to_fail_fast_is_to_wait_for_a_dial_but_not_for_a_backoff() {
    let peer = Peer::new(&[Dial::RefuseAfter(TICK * 5)]);
    let service = peer_with(&peer, |builder| builder.mode(Mode::FailFast));
    let started = Instant::now();
    let mut waiting = waiters(&service, 10);
    pass(TICK * 7).await;
    for waiter in &mut waiting {
        assert!(waiter.is_woken());
        assert_ready_ok!(waiter.poll_ready());
        let error = waiter.call(1).await.unwrap_err();
        let error = error.downcast_ref::<Unavailable>().unwrap();
        let source = error.source().unwrap();
        assert_eq!(source.downcast_ref(), Some(&Failure("refused")));
        let State::BackingOff { until, .. } = service.watch().state() else {
            panic!("no backoff");
        };
        assert_eq!(error.next_attempt(), until);
    }
    assert!(Instant::now() - started < TICK * 10);
    assert_eq!(peer.dials(), 4);
}

#[tokio::test(start_paused = true)]
async fn to_fail_fast_is_to_wait_for_the_dials_that_are_under_way_beside_one_that_fails() {
    let accept = Dial::AcceptAfter(TICK * 50);
    let peer = Peer::new(&[accept, Dial::RefuseAfter(TICK * 5), accept]);
    let service = peer_with(&peer, |builder| builder.mode(Mode::FailFast).max_dials(3));
    let mut waiting = waiters(&service, 4);
    pass(TICK * 7).await;
    let woken: Vec<_> = waiting.iter().map(Spawn::is_woken).collect();
    assert_eq!(woken, [false, false, true, true]);
    assert_ready_ok!(waiting[3].poll_ready());
    assert!(waiting[3].call(1).await.unwrap_err().is::<Unavailable>());
    pass(TICK * 50).await;
    assert_ready_ok!(waiting[0].poll_ready());
    assert!(waiting[0].call(1).await.is_ok());
}

/// The backoff comes from a connection, and no dial is under way that would end their wait.
#[tokio::test(start_paused = true)]
async fn a_backoff_that_begins_with_a_loss_is_not_waited_for_either() {
    let peer = Peer::new(&[Dial::Refuse, Dial::Accept, Dial::Hang]);
    let service = peer_with(&peer, |builder| builder.mode(Mode::FailFast));
    assert!(service.clone().oneshot(1).await.is_err());
    pass(TICK * 130).await;
    let mut owner = Spawn::new(service.clone());
    assert_ready_ok!(owner.poll_ready());
    let mut waiting = waiters(&service, 3);
    peer.link().kill();
    assert_ready_ok!(owner.poll_ready(), "a refusal");
    assert!(matches!(service.watch().state(), State::BackingOff { .. }));
    for waiter in &mut waiting {
        assert!(waiter.is_woken());
        assert_ready_ok!(waiter.poll_ready());
        assert!(waiter.call(1).await.unwrap_err().is::<Unavailable>());
    }
}

/// It was polled again after the refusal was promised, and asked for a connection by that.
#[tokio::test(start_paused = true)]
async fn a_handle_that_took_its_refusal_waits_no_more() {
    let accept = Dial::AcceptAfter(TICK * 300);
    let peer = Peer::new(&[Dial::Refuse, accept, Dial::Hang]);
    let service = peer_with(&peer, |builder| builder.mode(Mode::FailFast).max_dials(1));
    let mut refused = Spawn::new(service.clone());
    assert_pending!(refused.poll_ready());
    pass(TICK).await;
    assert_ready_ok!(refused.poll_ready());
    pass(TICK * 130).await;
    assert_eq!(peer.dialling().0, 1);
    assert_ready_ok!(refused.poll_ready(), "what was promised");
    let mut waiting = waiters(&service, 1);
    assert!(refused.call(1).await.unwrap_err().is::<Unavailable>());
    pass(TICK * 310).await;
    assert!(waiting[0].is_woken());
    assert_ready_ok!(waiting[0].poll_ready());
    assert_eq!(waiting[0].call(1).await.unwrap(), (1, 1));
}

/// Each connection that is dead on arrival wakes the handle, and is no end of its wait.
#[tokio::test(start_paused = true)]
async fn a_bounded_wait_ends_though_connections_come_and_die() {
    let peer = Peer::new(&[Dial::AcceptDead]);
    let bound = Duration::from_secs(10);
    let service = peer_with(&peer, |builder| builder.mode(Mode::BoundedWait(bound)));
    let started = Instant::now();
    let error = timeout(bound * 10, service.oneshot(1)).await.unwrap();
    assert!(error.unwrap_err().is::<Unavailable>());
    let waited = Instant::now() - started;
    assert!((bound..bound + TICK * 2).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_bounded_wait_ends() {
    let peer = Peer::new(&[Dial::Hang]);
    let bound = Duration::from_millis(300);
    let service = peer_with(&peer, |builder| builder.mode(Mode::BoundedWait(bound)));
    let started = Instant::now();
    let error = service.oneshot(1).await.unwrap_err();
    let error = error.downcast_ref::<Unavailable>().unwrap();
    assert!(error.cause().is::<StillConnecting>());
    let waited = Instant::now() - started;
    assert!((bound..bound + TICK * 2).contains(&waited), "{waited:?}");
}

/// It follows a dial that succeeded after one that had failed.
#[tokio::test(start_paused = true)]
async fn a_refusal_says_until_when_there_is_a_pause() {
    let peer = Peer::new(&[Dial::Refuse, Dial::Accept]);
    let base = Duration::from_secs(1);
    let service = peer_with(&peer, |builder| {
        let bounded = builder.mode(Mode::BoundedWait(TICK * 1100));
        bounded.backoff(base, base)
    });
    let mut first = service.clone();
    first.ready().await.unwrap();
    let dialled_at = Instant::now();
    let mut waiting = waiters(&service, 2);
    pass(TICK * 1101).await;
    assert_ready_ok!(waiting[0].poll_ready());
    assert!(waiting[0].call(1).await.is_ok());
    assert_ready_ok!(waiting[1].poll_ready());
    let error = waiting[1].call(1).await.unwrap_err();
    let error = error.downcast_ref::<Unavailable>().unwrap();
    let after = error.next_attempt() - dialled_at;
    assert!(
        (base * 2..base * 2 + TICK * 5).contains(&after),
        "{after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_states_are_those_of_the_shared_shape() {
    let peer = Peer::new(&[Dial::RefuseAfter(TICK), Dial::AcceptAfter(TICK)]);
    let service = peer_with(&peer, |builder| builder.name("the peer"));
    let mut watch = service.watch();
    assert!(matches!(watch.state(), State::Idle));
    let mut handle = Spawn::new(service.clone());
    assert_pending!(handle.poll_ready());
    assert!(watch.changed().await);
    assert!(matches!(watch.state(), State::Connecting));
    assert!(watch.changed().await);
    assert!(matches!(watch.state(), State::BackingOff { .. }));
    assert!(watch.changed().await);
    assert!(matches!(watch.state(), State::Connecting));
    assert!(watch.changed().await);
    assert!(watch.state().is_connected());
    let text = format!("{handle:?}");
    assert!(text.contains("the peer"), "{text}");
    drop((handle, service));
    assert!(matches!(watch.state(), State::Closed));
}

#[test]
fn without_a_runtime_the_response_says_so() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = Spawn::new(exclusive(&peer));
    assert_ready_ok!(service.poll_ready());
    let response = tokio_test::block_on(service.call(1));
    assert!(response.unwrap_err().is::<NoRuntime>());
}

//! How long a connection is kept.

use crate::peer_with;
use crate::support::{Dial, Peer, TICK, pass, settle};
use std::time::Duration;
use tokio_test::{assert_pending, assert_ready_ok};
use tower::ServiceExt;
use tower_reconnect::State;
use tower_service::Service;
use tower_test::mock::Spawn;

#[tokio::test(start_paused = true)]
async fn what_nobody_has_is_closed_after_the_idle_time() {
    let peer = Peer::new(&[Dial::Accept]);
    let idle = Duration::from_secs(8);
    let service = peer_with(&peer, |builder| builder.idle(idle));
    let mut owner = service.clone();
    owner.ready().await.unwrap();
    let mut leaver = service.clone();
    leaver.ready().await.unwrap();
    drop(leaver);
    pass(idle - TICK * 20).await;
    assert_eq!(peer.links()[1].alive(), 1);
    pass(idle / 2 + TICK * 50).await;
    assert_eq!(peer.links()[1].alive(), 0);
    assert_eq!(peer.links()[0].alive(), 1, "a handle has it");
    assert_eq!(service.watch().stats().unused, 1);
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_is_exchanged_between_two_requests() {
    let peer = Peer::new(&[Dial::Accept, Dial::AcceptAfter(TICK * 300)]);
    let age = Duration::from_secs(60);
    let service = peer_with(&peer, |builder| builder.max_age(age));
    let mut handle = Spawn::new(service.clone());
    assert_pending!(handle.poll_ready());
    settle().await;
    assert_ready_ok!(handle.poll_ready());
    peer.link().set_busy(true);
    handle.call(1).await.unwrap();
    assert_pending!(handle.poll_ready());
    pass(age).await;
    assert_eq!(peer.links().len(), 2);
    assert_pending!(handle.poll_ready(), "a request is under way");
    peer.links()[0].set_busy(false);
    assert!(handle.is_woken());
    assert_ready_ok!(handle.poll_ready());
    assert_eq!(handle.call(2).await.unwrap(), (2, 2));
    assert_eq!(peer.links()[0].alive(), 0);
    let stats = service.watch().stats();
    assert_eq!((stats.replaced, stats.open, stats.lost), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_serves_on_while_its_successor_cannot_be_dialled() {
    let peer = Peer::new(&[Dial::Accept, Dial::Refuse]);
    let service = peer_with(&peer, |builder| builder.max_age(Duration::from_secs(60)));
    let mut handle = service.clone();
    for request in 0..600 {
        assert_eq!(
            handle.ready().await.unwrap().call(request).await.unwrap().0,
            1
        );
        pass(TICK * 200).await;
    }
    assert!((8..30).contains(&peer.dials()), "{} dials", peer.dials());
    peer.always(Dial::Accept);
    pass(Duration::from_secs(11)).await;
    assert_eq!(handle.ready().await.unwrap().call(1).await.unwrap(), (2, 1));
}

/// Its owner may go, or it may die, before it is exchanged.
#[tokio::test(start_paused = true)]
async fn a_successor_is_not_lost_with_its_predecessor() {
    let age = Duration::from_secs(60);
    let peer = Peer::new(&[Dial::Accept]);
    let service = peer_with(&peer, |builder| builder.max_age(age));
    let mut handle = service.clone();
    handle.ready().await.unwrap().call(1).await.unwrap();
    pass(age * 9 / 10 + TICK * 400).await;
    assert_eq!(peer.links().len(), 2);
    drop(handle);
    assert_eq!(service.clone().oneshot(1).await.unwrap(), (2, 1));

    let mut handle = service.clone();
    handle.ready().await.unwrap().call(1).await.unwrap();
    pass(age * 9 / 10 + TICK * 400).await;
    peer.links()[2].kill();
    assert_eq!(handle.ready().await.unwrap().call(1).await.unwrap(), (4, 1));
}

/// A handle that is kept and not polled exchanges nothing.
#[tokio::test(start_paused = true)]
async fn a_handle_that_rests_has_one_successor_and_that_one_is_young() {
    let age = Duration::from_secs(60);
    let peer = Peer::new(&[Dial::Accept]);
    let service = peer_with(&peer, |builder| builder.max_age(age));
    let mut handle = service.clone();
    handle.ready().await.unwrap().call(1).await.unwrap();
    for _ in 0..10 {
        pass(age).await;
        let alive = peer.links().iter().filter(|link| link.alive() > 0).count();
        assert!(alive <= 2, "{alive} connections for one handle");
        assert_eq!(service.watch().stats().open, alive as u64);
    }
    let newest = peer.links().len();
    assert!(newest > 8, "{newest}");
    let response = handle.ready().await.unwrap().call(2).await;
    assert_eq!(response.unwrap(), (newest, 2));
    let alive = peer.links().iter().filter(|link| link.alive() > 0).count();
    assert_eq!(alive, 1);
}

/// The task takes the successor with it, and the old one is all there is.
#[test]
fn an_old_connection_serves_on_when_its_successor_goes_with_the_runtime() {
    let peer = Peer::new(&[Dial::Accept]);
    let age = Duration::from_secs(60);
    let mut handle = peer_with(&peer, |builder| builder.max_age(age));
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        handle.ready().await.unwrap().call(1).await.unwrap();
        pass(age).await;
    });
    assert_eq!(peer.links()[1].alive(), 1);
    drop(runtime);
    assert_eq!(peer.links()[1].alive(), 0);
    let mut handle = Spawn::new(handle);
    for request in 2..5 {
        assert_ready_ok!(handle.poll_ready());
        let response = tokio_test::block_on(handle.call(request));
        assert_eq!(response.unwrap(), (1, request));
    }
    assert!(matches!(handle.get_ref().watch().state(), State::Closed));
}

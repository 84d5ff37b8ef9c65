//! What all share of a peer that fails.

use crate::support::{Dial, Failure, Peer, TICK, pass, settle};
use crate::{exclusive, peer_with, waiters};
use std::{error::Error, time::Duration};
use tokio::time::{Instant, timeout};
use tokio_test::{assert_pending, assert_ready_ok};
use tower::ServiceExt;
use tower_reconnect::State;
use tower_service::Service;
use tower_test::mock::Spawn;

#[tokio::test(start_paused = true)]
async fn one_dial_is_under_way_while_it_fails_however_many_wait() {
    let peer = Peer::new(&[Dial::RefuseAfter(TICK * 5)]);
    let service = exclusive(&peer);
    let _waiting = waiters(&service, 100);
    pass(TICK * 7).await;
    assert_eq!((peer.dials(), peer.dialling()), (4, (0, 4)));
    let State::BackingOff { failures, .. } = service.watch().state() else {
        panic!("no backoff");
    };
    assert_eq!(failures, 1, "four that fail together are one failure");
    for _ in 0..2000 {
        pass(TICK * 2).await;
        assert!(peer.dialling().0 <= 1);
    }
    pass(Duration::from_secs(60)).await;
    assert!((9..25).contains(&peer.dials()), "{} dials", peer.dials());
}

/// Until then one at a time is dialled, though each succeeds.
#[tokio::test(start_paused = true)]
async fn health_returns_with_a_connection_that_has_lasted() {
    let peer = Peer::new(&[Dial::Refuse, Dial::AcceptAfter(TICK * 700)]);
    let service = peer_with(&peer, |builder| builder.connect_timeout(TICK * 2000));
    let mut first = waiters(&service, 1);
    pass(TICK * 1000).await;
    assert_ready_ok!(first[0].poll_ready());
    let _waiting = waiters(&service, 20);
    pass(Duration::from_secs(4)).await;
    assert!(peer.dials() > 4);
    assert_eq!(peer.dialling().1, 1);
    pass(Duration::from_secs(2)).await;
    assert_eq!(peer.dialling().1, 4);
}

/// As with a handle for each request: no connection is there for long, and none has failed.
#[tokio::test(start_paused = true)]
async fn health_returns_though_no_connection_is_kept_for_long() {
    let peer = Peer::new(&[Dial::Refuse, Dial::Accept]);
    let service = exclusive(&peer);
    service.clone().oneshot(1).await.unwrap();
    for request in 0..60 {
        pass(TICK * 100).await;
        service.clone().oneshot(request).await.unwrap();
    }
    let started = Instant::now();
    for request in 0..100 {
        service.clone().oneshot(request).await.unwrap();
    }
    assert_eq!(Instant::now(), started, "a pause");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_all_young_connections_with_it_is_one_failure() {
    let peer = Peer::new(&[Dial::Accept]);
    let service = exclusive(&peer);
    let mut handles: Vec<_> = (0..20).map(|_| Spawn::new(service.clone())).collect();
    for handle in &mut handles {
        assert_pending!(handle.poll_ready());
        settle().await;
        assert_ready_ok!(handle.poll_ready());
    }
    peer.always(Dial::Hang);
    peer.links().iter().for_each(|link| link.kill());
    for handle in &mut handles {
        assert_pending!(handle.poll_ready());
    }
    let State::BackingOff {
        failures, until, ..
    } = service.watch().state()
    else {
        panic!("no backoff");
    };
    assert_eq!(failures, 1);
    assert!(until - Instant::now() <= Duration::from_millis(125));
    pass(Duration::from_millis(130)).await;
    assert_eq!(peer.dialling().0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_retired_connection_is_replaced_at_once_if_it_has_done_anything() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = peer_with(&peer, |builder| {
        builder.retired_when(<dyn Error>::is::<Failure>)
    });
    for round in 1..=10 {
        let started = Instant::now();
        let response = service.ready().await.unwrap().call(round).await;
        assert_eq!(response.unwrap(), (round as usize, round));
        assert_eq!(Instant::now(), started, "a backoff");
        peer.link().kill();
    }
    peer.always(Dial::AcceptDead);
    let mut service = Spawn::new(service);
    assert_pending!(service.poll_ready());
    pass(Duration::from_secs(10)).await;
    let stats = service.get_ref().watch().stats();
    assert_eq!(stats.retired, 10);
    assert!(stats.dials < 14, "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn how_much_work_is_enough_can_be_said() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = peer_with(&peer, |builder| {
        builder.retired_when(|_| true).worked_after(100)
    });
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        if timeout(TICK * 10, service.ready()).await.is_ok() {
            service.call(1).await.unwrap();
            peer.link().kill();
        }
    }
    let stats = service.watch().stats();
    assert!((8..=20).contains(&stats.dials), "{stats:?}");
    assert_eq!(stats.unstable, stats.retired);
}

/// A request that was sent is no work: it must have been answered.
#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_requests_and_answers_none_is_dialled_ever_more_rarely() {
    let peer = Peer::new(&[Dial::Accept]);
    let service = peer_with(&peer, |builder| builder.retired_when(|_| true));
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        let mut handle = service.clone();
        if timeout(TICK * 10, handle.ready()).await.is_err() {
            continue;
        }
        peer.link().kill();
        assert!(handle.call(1).await.is_err());
        // So that its end is seen, and not only that its owner is gone.
        let _ = timeout(TICK, handle.ready()).await;
    }
    let stats = service.watch().stats();
    assert!((8..=20).contains(&stats.dials), "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reset_ends_the_backoff_of_all() {
    let peer = Peer::new(&[Dial::Refuse]);
    let service = exclusive(&peer);
    let mut waiting = waiters(&service, 3);
    pass(Duration::from_secs(60)).await;
    pass(Duration::from_secs(1)).await;
    peer.always(Dial::Accept);
    service.reset_backoff();
    settle().await;
    for waiter in &mut waiting {
        assert_ready_ok!(waiter.poll_ready());
    }
}

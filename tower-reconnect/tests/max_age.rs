//! A connection near its maximum age is replaced before it stops taking requests.

mod support;

use std::time::Duration;

use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready_ok};
use tower::ServiceExt;
use tower_reconnect::{Reconnect, ReconnectLayer, State};
use tower_service::Service;
use tower_test::mock::Spawn;

use support::{Connection, Dial, Peer, TICK, pass, settle};

const AGE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn it_is_replaced_in_time_without_a_moment_that_is_not_ready() {
    let peer = Peer::new(&[Dial::Accept, Dial::AcceptAfter(TICK * 300)]);
    let mut service = aging(&peer);
    service.ready().await.unwrap();
    let mut other = Spawn::new(service.clone());
    let started = Instant::now();
    let mut last = 0;
    for request in 0..700 {
        assert_ready_ok!(other.poll_ready(), "at {:?}", Instant::now() - started);
        last = other.call(request).await.unwrap().0;
        if last == 2 {
            break;
        }
        pass(TICK * 100).await;
    }
    assert_eq!(last, 2);
    let age = Instant::now() - started;
    assert!((AGE * 8 / 10..AGE).contains(&age), "{age:?}");
    let stats = service.watch().stats();
    assert_eq!((stats.dials, stats.connections, stats.open), (2, 2, 1));
    assert_eq!((stats.replaced, stats.lost), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_old_one_drains_and_nothing_keeps_it_beyond_its_last_request() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut kept = aging(&peer);
    kept.ready().await.unwrap().call(1).await.unwrap();
    let mut promised = Spawn::new(kept.clone());
    assert_ready_ok!(promised.poll_ready());
    let mut fresh = Spawn::new(kept.clone());
    pass(AGE).await;
    let first = peer.links()[0].clone();
    assert_eq!(peer.links().len(), 2);
    assert_eq!(first.alive(), 1, "a handle that is ready, and no other");
    assert_ready_ok!(fresh.poll_ready());
    assert_eq!(fresh.call(1).await.unwrap(), (2, 1));
    assert_ready_ok!(promised.poll_ready(), "a promise");
    assert_eq!(promised.call(2).await.unwrap(), (1, 2));
    assert_eq!(first.alive(), 0);
    assert_ready_ok!(promised.poll_ready());
    assert_eq!(promised.call(3).await.unwrap(), (2, 3));
    drop(kept);
}

#[tokio::test(start_paused = true)]
async fn while_its_successor_cannot_be_dialled_it_stays_and_the_dials_back_off() {
    let peer = Peer::new(&[Dial::Accept, Dial::Refuse]);
    let mut service = aging(&peer);
    service.ready().await.unwrap();
    pass(AGE * 8 / 10 - TICK * 200).await;
    assert_eq!(peer.dials(), 1);
    for request in 0..1200 {
        assert_eq!(
            service
                .ready()
                .await
                .unwrap()
                .call(request)
                .await
                .unwrap()
                .0,
            1
        );
        pass(TICK * 100).await;
    }
    assert!((10..=30).contains(&peer.dials()), "{} dials", peer.dials());
    assert!(service.watch().state().is_connected());
    assert_eq!(service.watch().last_cause().unwrap().to_string(), "refused");

    peer.always(Dial::Accept);
    pass(Duration::from_secs(11)).await;
    assert_eq!(
        service.ready().await.unwrap().call(1).await.unwrap(),
        (2, 1)
    );
}

/// The dial that was to replace it is the one to wait for: there is never a second one.
#[tokio::test(start_paused = true)]
async fn it_may_die_while_its_successor_is_dialled() {
    let peer = Peer::new(&[Dial::Accept, Dial::AcceptAfter(Duration::from_millis(900))]);
    let mut service = Spawn::new(aging(&peer));
    assert_pending!(service.poll_ready());
    settle().await;
    assert_ready_ok!(service.poll_ready());
    while peer.dials() < 2 {
        pass(TICK * 10).await;
    }
    peer.link().kill();
    assert_pending!(service.poll_ready());
    pass(Duration::from_millis(910)).await;
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    assert_eq!(service.call(1).await.unwrap(), (2, 1));
    assert_eq!((peer.dials(), peer.dialling().1), (2, 1));
}

/// A peer that refuses is not dialled at once because the last connection to it has died as well.
#[tokio::test(start_paused = true)]
async fn it_may_die_while_its_successor_backs_off() {
    let peer = Peer::new(&[Dial::Accept, Dial::Refuse]);
    let mut service = Spawn::new(aging(&peer));
    assert_pending!(service.poll_ready());
    settle().await;
    while peer.dials() < 8 {
        pass(TICK * 10).await;
    }
    peer.link().kill();
    assert_pending!(service.poll_ready());
    let before = peer.dials();
    pass(Duration::from_secs(2)).await;
    assert_eq!(peer.dials(), before, "the backoff goes on");
}

#[tokio::test(start_paused = true)]
async fn services_of_one_layer_do_not_age_together() {
    let layer = ReconnectLayer::builder("peer")
        .max_age(AGE)
        .build()
        .unwrap();
    let peer = Peer::new(&[Dial::Accept]);
    let mut services = Vec::new();
    for _ in 0..100 {
        let mut service = tower_layer::Layer::layer(&layer, peer.maker());
        service.ready().await.unwrap();
        services.push(service);
    }
    pass(AGE * 8 / 10 - TICK * 200).await;
    assert_eq!(peer.dials(), 100);
    let mut most = 0;
    for _ in 0..8 {
        let before = peer.dials();
        pass(AGE / 80).await;
        most = most.max(peer.dials() - before);
    }
    assert!(peer.dials() > 180, "{}", peer.dials());
    assert!(most < 30, "{most} of 100 in an eighth of the time");
}

/// No single connection is there for `stable_after`, but there is always one.
#[tokio::test(start_paused = true)]
async fn an_outage_is_forgotten_though_connections_are_replaced_before_they_are_stable() {
    let peer = Peer::new(&[Dial::Refuse]);
    let builder = ReconnectLayer::builder("peer").max_age(Duration::from_secs(2));
    let service = peer.connect(builder);
    let mut handle = Spawn::new(service.clone());
    assert_pending!(handle.poll_ready());
    pass(Duration::from_secs(60)).await;
    peer.always(Dial::Accept);
    pass(Duration::from_secs(60)).await;
    assert_ready_ok!(handle.poll_ready());
    peer.always(Dial::Refuse);
    peer.link().kill();
    assert_pending!(handle.poll_ready());
    let State::BackingOff { failures, .. } = service.watch().state() else {
        panic!("{service:?}");
    };
    assert_eq!(failures, 1);
}

fn aging(peer: &Peer) -> Reconnect<Connection> {
    peer.connect(ReconnectLayer::builder("peer").max_age(AGE))
}

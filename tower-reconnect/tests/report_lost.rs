//! Whoever has a handle may know of its connection's end before the connection says so.
#![allow(clippy::unwrap_used)]

mod support;

use std::{error::Error, time::Duration};

use tokio_test::assert_pending;
use tower::ServiceExt;
use tower_layer::Layer;
use tower_reconnect::{ReconnectLayer, State, exclusive::Exclusive};
use tower_service::Service;
use tower_test::mock::Spawn;

use support::{Connection, Dial, Failure, Peer, pass, settle};

#[tokio::test(start_paused = true)]
async fn a_loss_that_is_reported_asks_for_no_other_connection() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = exclusive(&peer);
    service.ready().await.unwrap().call(1).await.unwrap();
    pass(Duration::from_secs(6)).await;
    service.report_lost(Failure("closed"));
    pass(Duration::from_secs(60)).await;
    assert!(!service.is_connected());
    assert_eq!((peer.dials(), peer.link().alive()), (1, 0));
    let stats = service.watch().stats();
    assert_eq!((stats.lost, stats.unstable, stats.open), (1, 0, 0));

    let answer = service.ready().await.unwrap().call(2).await.unwrap();
    assert_eq!(answer, (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_loss_that_is_reported_counts_as_one_that_was_seen() {
    for (retires, backs_off) in [(false, true), (true, false)] {
        let peer = Peer::new(&[Dial::Accept]);
        let builder = ReconnectLayer::builder("peer").retired_when(<dyn Error>::is::<Failure>);
        let mut service = builder.build_exclusive().unwrap().layer(peer.maker());
        service.ready().await.unwrap().call(1).await.unwrap();
        let watch = service.watch();
        match retires {
            true => service.report_lost(Failure("closed")),
            false => service.report_lost("reset"),
        }
        assert_eq!(watch.stats().retired, u64::from(retires));
        let state = watch.state();
        assert_eq!(matches!(state, State::BackingOff { .. }), backs_off);
        let mut service = Spawn::new(service);
        assert_pending!(service.poll_ready());
        settle().await;
        assert_eq!(peer.dials(), if backs_off { 1 } else { 2 });
    }
}

#[tokio::test(start_paused = true)]
async fn an_eager_layer_dials_again() {
    let peer = Peer::new(&[Dial::Accept]);
    let builder = ReconnectLayer::builder("peer").eager(true);
    let mut service = builder.build_exclusive().unwrap().layer(peer.maker());
    service.ready().await.unwrap().call(1).await.unwrap();
    pass(Duration::from_secs(6)).await;
    service.report_lost(Failure("closed"));
    settle().await;
    assert_eq!((peer.dials(), service.watch().stats().open), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn without_a_connection_there_is_nothing_to_report() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = exclusive(&peer);
    service.report_lost(Failure("closed"));
    assert_eq!(service.watch().stats().lost, 0);
    assert_eq!(
        service.ready().await.unwrap().call(1).await.unwrap(),
        (1, 1)
    );
}

fn exclusive(peer: &Peer) -> Exclusive<Connection> {
    let builder = ReconnectLayer::builder("peer");
    builder.build_exclusive().unwrap().layer(peer.maker())
}

//! An eager connection is there before anybody asks.

mod support;

use std::time::Duration;

use tower::ServiceExt;
use tower_reconnect::ReconnectLayer;
use tower_service::Service;

use support::{Dial, Peer, pass, settle};

#[tokio::test(start_paused = true)]
async fn it_is_made_when_the_layer_is_applied_and_again_after_failures() {
    let peer = Peer::new(&[Dial::Refuse, Dial::Refuse, Dial::Accept]);
    let service = peer.connect(ReconnectLayer::builder("peer").eager(true));
    settle().await;
    assert_eq!(peer.dials(), 1);
    pass(Duration::from_millis(400)).await;
    assert!(service.watch().state().is_connected());
    assert_eq!(peer.dials(), 3);
    pass(Duration::from_secs(600)).await;
    assert_eq!(peer.dials(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_lost_one_is_made_again_though_nobody_waits() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = peer.connect(ReconnectLayer::builder("peer").eager(true));
    service.ready().await.unwrap();
    pass(Duration::from_secs(6)).await;
    peer.link().kill();
    let noticed = tower_test::mock::Spawn::new(service.clone()).poll_ready();
    assert!(noticed.is_pending());
    settle().await;
    assert!(service.watch().state().is_connected());
    assert_eq!(
        service.ready().await.unwrap().call(1).await.unwrap(),
        (2, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_last_handle_like_any_other() {
    let peer = Peer::new(&[Dial::Accept]);
    let service = peer.connect(ReconnectLayer::builder("peer").eager(true));
    settle().await;
    drop(service);
    settle().await;
    assert_eq!(peer.link().alive(), 0);
    assert!(!peer.maker_is_alive());
}

#[test]
fn without_a_runtime_the_first_poll_from_within_one_begins() {
    let peer = Peer::new(&[Dial::Accept]);
    let service = peer.connect(ReconnectLayer::builder("peer").eager(true));
    assert_eq!(peer.dials(), 0);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    assert_eq!(runtime.block_on(service.oneshot(1)).unwrap(), (1, 1));
}

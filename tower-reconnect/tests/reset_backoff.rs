//! News of the other end may end a backoff.

mod support;

use std::time::Duration;

use tokio_test::assert_pending;
use tower::ServiceExt;
use tower_reconnect::{ReconnectLayer, State};
use tower_test::mock::Spawn;

use support::{Dial, Peer, pass, settle};

#[tokio::test(start_paused = true)]
async fn a_backoff_ends_at_once_and_the_next_is_as_short_as_the_first() {
    let peer = Peer::new(&[Dial::Refuse]);
    let service = peer.connect(ReconnectLayer::builder("peer"));
    let mut waiting = Spawn::new(service.clone());
    assert_pending!(waiting.poll_ready());
    pass(Duration::from_secs(60)).await;
    pass(Duration::from_secs(1)).await;
    let before = peer.dials();
    service.reset_backoff();
    settle().await;
    assert_eq!(peer.dials(), before + 1);
    let State::BackingOff {
        failures, until, ..
    } = service.watch().state()
    else {
        panic!("no backoff");
    };
    assert_eq!(failures, 1);
    assert!(until - tokio::time::Instant::now() <= Duration::from_millis(125));
    peer.always(Dial::Accept);
    assert_eq!(service.oneshot(1).await.unwrap(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn without_demand_it_dials_nothing() {
    let peer = Peer::new(&[Dial::Refuse]);
    let service = peer.connect(ReconnectLayer::builder("peer"));
    service.reset_backoff();
    settle().await;
    assert_eq!(peer.dials(), 0);
    let mut waiting = Spawn::new(service.clone());
    assert_pending!(waiting.poll_ready());
    settle().await;
    drop(waiting);
    service.reset_backoff();
    settle().await;
    assert_eq!(peer.dials(), 1);
    assert!(matches!(service.watch().state(), State::Idle));
}

/// However often it is called, there is one dial at a time.
#[tokio::test(start_paused = true)]
async fn it_does_not_hurry_a_dial_that_is_under_way() {
    let peer = Peer::new(&[Dial::Hang]);
    let service = peer.connect(ReconnectLayer::builder("peer"));
    let mut waiting = Spawn::new(service.clone());
    assert_pending!(waiting.poll_ready());
    for _ in 0..100 {
        service.reset_backoff();
        settle().await;
    }
    assert_eq!((peer.dials(), peer.dialling()), (1, (1, 1)));
}

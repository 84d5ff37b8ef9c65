//! linkerd2-proxy's reconnect, and its backoff.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tower::ServiceExt;
use tower_reconnect::ReconnectLayer;
use tower_service::Service;

use crate::support::{Dial, Peer, TICK, pass};

/// There a connection that was made begins the backoff anew, so that one that dies at once is
/// dialled each 100 ms.
#[tokio::test(start_paused = true)]
async fn the_backoff_of_a_flapping_peer_grows() {
    for lives in [
        Duration::ZERO,
        Duration::from_millis(100),
        Duration::from_secs(4),
    ] {
        let peer = Peer::new(&[Dial::Accept]);
        let mut service = peer.connect_by_default();
        let end = Instant::now() + Duration::from_secs(300);
        while timeout(Duration::from_secs(60), service.ready())
            .await
            .is_ok()
            && Instant::now() < end
        {
            service.call(1).await.unwrap();
            tokio::time::sleep(lives).await;
            peer.link().kill();
        }
        let late = peer.gaps().split_off(8);
        assert!(late.len() > 20, "it is tried on");
        assert!(
            late.iter().all(|gap| *gap >= Duration::from_secs(7)),
            "{lives:?}: {late:?}"
        );
    }
}

/// There the first dial has no jitter.
#[tokio::test(start_paused = true)]
async fn clients_that_begin_together_need_not_dial_together() {
    let jitter = Duration::from_secs(8);
    let mut waits = Vec::new();
    for seed in 0..50 {
        let peer = Peer::new(&[Dial::Accept]);
        let layer = ReconnectLayer::builder("peer").first_dial_jitter(jitter);
        let begun = Instant::now();
        peer.connect(layer.seed(seed)).oneshot(1).await.unwrap();
        waits.push(Instant::now() - begun);
    }
    assert!(waits.iter().any(|wait| *wait < jitter / 8), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait > jitter * 7 / 8), "{waits:?}");
}

/// There nothing goes on without polls.
#[tokio::test(start_paused = true)]
async fn a_backoff_ends_and_a_dial_is_made_between_polls() {
    let peer = Peer::new(&[Dial::Refuse, Dial::Refuse, Dial::Accept]);
    let mut service = tower_test::mock::Spawn::new(peer.connect_by_default());
    tokio_test::assert_pending!(service.poll_ready());
    pass(Duration::from_secs(1)).await;
    assert_eq!((peer.dials(), peer.links().len()), (3, 1));
}

/// There a failfast has to be put above, or a request waits for ever.
#[tokio::test(start_paused = true)]
async fn a_wait_can_be_bounded_without_another_layer() {
    let peer = Peer::new(&[Dial::Refuse]);
    let mode = tower_reconnect::Mode::BoundedWait(Duration::from_secs(1));
    let service = peer.connect(ReconnectLayer::builder("peer").mode(mode));
    let begun = Instant::now();
    service.oneshot(1).await.unwrap_err();
    assert!(Instant::now() - begun <= Duration::from_secs(1) + 2 * TICK);
}

//! The state can be seen, and seeing it changes nothing.

mod support;

use std::time::Duration;

use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready, task};
use tower::ServiceExt;
use tower_reconnect::{State, Stats};

use support::{Dial, Failure, Peer, TICK, pass, settle};

#[tokio::test(start_paused = true)]
async fn every_state_is_seen_in_its_order() {
    let script = [Dial::RefuseAfter(TICK), Dial::AcceptAfter(TICK)];
    let peer = Peer::new(&script);
    let service = peer.connect_by_default();
    let mut watch = service.watch();
    assert!(matches!(watch.state(), State::Idle));

    let mut request = task::spawn(service.clone().oneshot(1));
    assert_pending!(request.poll());
    assert!(watch.changed().await);
    assert!(matches!(watch.state(), State::Connecting));
    assert!(watch.changed().await);
    let State::BackingOff {
        cause,
        until,
        failures,
        ..
    } = watch.state()
    else {
        panic!("{watch:?}");
    };
    assert_eq!(cause.downcast_ref(), Some(&Failure("refused")));
    assert_eq!(failures, 1);
    let delay = until - Instant::now();
    assert!((Duration::from_millis(54)..=Duration::from_millis(125)).contains(&delay));
    assert!(watch.changed().await);
    assert!(Instant::now() >= until);
    assert!(matches!(watch.state(), State::Connecting));
    assert!(watch.changed().await);
    let State::Connected { since, .. } = watch.state() else {
        panic!("{watch:?}");
    };
    assert_eq!(since, Instant::now());
    assert_eq!(request.await.unwrap(), (1, 1));
    drop(service);
    assert!(watch.changed().await);
    assert!(matches!(watch.state(), State::Closed));
    assert!(!watch.changed().await);
}

#[tokio::test(start_paused = true)]
async fn the_numbers_add_up() {
    let script = [Dial::Refuse, Dial::Refuse, Dial::Accept];
    let peer = Peer::new(&script);
    let service = peer.connect_by_default();
    let watch = service.watch();
    assert_eq!(watch.stats(), Stats::default());
    service.clone().oneshot(1).await.unwrap();
    peer.link().kill();
    service.clone().oneshot(2).await.unwrap();
    pass(Duration::from_secs(6)).await;
    peer.link().kill();
    service.oneshot(3).await.unwrap();
    let stats = watch.stats();
    assert_eq!((stats.dials, stats.failures), (5, 2));
    assert_eq!((stats.connections, stats.lost, stats.unstable), (3, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_misses_nothing() {
    let peer = Peer::new(&[Dial::AcceptAfter(TICK)]);
    let service = peer.connect_by_default();
    let mut watch = service.watch();
    {
        let mut wait = task::spawn(watch.changed());
        assert_pending!(wait.poll());
    }
    service.oneshot(1).await.unwrap();
    assert!(assert_ready!(task::spawn(watch.changed()).poll()));
}

#[tokio::test(start_paused = true)]
async fn watching_is_no_demand() {
    let peer = Peer::new(&[Dial::Accept]);
    let service = peer.connect_by_default();
    let mut watch = service.watch();
    let mut wait = task::spawn(watch.changed());
    assert_pending!(wait.poll());
    settle().await;
    assert_pending!(wait.poll());
    assert_eq!(peer.dials(), 0);
}

//! `tower::reconnect`.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_test::{assert_pending, assert_ready_ok};
use tower::ServiceExt;
use tower_reconnect::{
    Mode, ReconnectLayer,
    error::{ConnectPanic, ConnectTimeout, Unavailable},
};
use tower_service::Service;
use tower_test::mock::Spawn;

use crate::{
    support::{Dial, Peer, pass, settle},
    theirs::{panics, still, theirs},
};

const MINUTE: Duration = Duration::from_secs(60);

fn fail_fast(peer: &Peer) -> tower_reconnect::Reconnect<crate::support::Connection> {
    peer.connect(ReconnectLayer::builder("peer").mode(Mode::FailFast))
}

/// Its #244 and #386; grpc-rust #2839.
#[tokio::test(start_paused = true)]
async fn a_failed_dial_does_not_make_it_ready() {
    let peer = Peer::new(&[Dial::Refuse]);
    let mut ours = Spawn::new(peer.connect_by_default());
    for _ in 0..100 {
        assert_pending!(ours.poll_ready());
        pass(Duration::from_millis(100)).await;
    }

    let mut theirs = theirs(&Peer::new(&[Dial::Refuse]));
    let is_ready = theirs.ready().await.is_ok();
    let fails = theirs.call(1).await.is_err();
    still(is_ready && fails, "a failed dial makes it ready");
}

/// Its #60, open since 2018.
#[tokio::test(start_paused = true)]
async fn dials_that_fail_have_pauses_between_them() {
    let (peer, their_peer) = (Peer::new(&[Dial::Refuse]), Peer::new(&[Dial::Refuse]));
    let ours = peer.connect_by_default();
    let mut theirs = theirs(&their_peer);
    let end = Instant::now() + MINUTE;
    while Instant::now() < end {
        let _ = timeout(Duration::from_millis(100), ours.clone().oneshot(1)).await;
        let _ = theirs.ready().await.unwrap().call(1).await;
    }
    assert!(peer.dials() <= 16, "{}", peer.dials());
    still(their_peer.dials() >= 600, "each request dials at once");
}

#[tokio::test(start_paused = true)]
async fn an_error_is_never_older_than_the_connection() {
    let peer = Peer::new(&[Dial::Refuse, Dial::Accept]);
    let mut ours = Spawn::new(fail_fast(&peer));
    assert_pending!(ours.poll_ready());
    settle().await;
    assert_ready_ok!(ours.poll_ready());
    pass(Duration::from_millis(200)).await;
    assert_ready_ok!(ours.poll_ready());
    // What was promised was a refusal; the next poll tells of the connection.
    let promised = ours.call(1).await;
    pass(Duration::from_millis(200)).await;
    assert_ready_ok!(ours.poll_ready());
    assert_eq!(ours.call(2).await.unwrap(), (1, 2), "after {promised:?}");

    let peer = Peer::new(&[Dial::Refuse, Dial::Accept]);
    let mut theirs = theirs(&peer);
    // A balancer polls twice.
    theirs.ready().await.unwrap();
    theirs.ready().await.unwrap();
    let connected = peer.links().len() == 1;
    let answer = theirs.call(1).await;
    still(
        connected && answer.is_err(),
        "the first call of a new connection gets the error of the dial before",
    );
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_lost_connection_is_told() {
    let peer = Peer::new(&[Dial::Accept, Dial::Refuse]);
    let mut ours = peer.connect_by_default();
    ours.ready().await.unwrap();
    peer.link().kill();
    assert!(timeout(Duration::ZERO, ours.ready()).await.is_err());
    let watch = ours.watch();
    assert_eq!(watch.last_cause().unwrap().to_string(), "connection reset");

    let peer = Peer::new(&[Dial::Accept, Dial::Refuse]);
    let mut theirs = theirs(&peer);
    theirs.ready().await.unwrap();
    peer.link().kill();
    theirs.ready().await.unwrap();
    let error = theirs.call(1).await.unwrap_err();
    let mut told = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push(error.to_string());
        cause = error.source();
    }
    still(
        told == ["refused"],
        "what a connection was lost of is dropped",
    );
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_hangs_ends() {
    let peer = Peer::new(&[Dial::Hang]);
    let refused = timeout(MINUTE, fail_fast(&peer).oneshot(1)).await.unwrap();
    let error = refused.unwrap_err();
    let unavailable = error.downcast_ref::<Unavailable>().unwrap();
    assert!(unavailable.cause().is::<ConnectTimeout>());

    let mut theirs = theirs(&Peer::new(&[Dial::Hang]));
    let waited = timeout(60 * MINUTE, theirs.ready()).await;
    still(waited.is_err(), "a dial may hang for ever");
}

/// moq #1806: it spun when connecting succeeded and the connection was dropped at once.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_dead_on_arrival_makes_no_poll_spin() {
    let peer = Peer::new(&[Dial::AcceptDead]);
    let mut ours = Spawn::new(peer.connect_by_default());
    assert_pending!(ours.poll_ready());
    settle().await;
    assert_pending!(ours.poll_ready());
    assert_eq!(peer.dials(), 1);

    // The peer stops it after a thousand dials.
    let peer = Peer::new(&[Dial::AcceptDead]);
    let mut theirs = Spawn::new(theirs(&peer));
    let _ = theirs.poll_ready();
    still(peer.dials() > 1000, "one poll dials for ever");
}

#[tokio::test(start_paused = true)]
async fn a_dial_goes_on_between_polls() {
    let (peer, their_peer) = [(); 2]
        .map(|()| Peer::new(&[Dial::AcceptAfter(Duration::from_millis(50))]))
        .into();
    let mut ours = Spawn::new(peer.connect_by_default());
    let mut theirs = Spawn::new(theirs(&their_peer));
    assert_pending!(ours.poll_ready());
    assert_pending!(theirs.poll_ready());
    sleep(MINUTE).await;
    assert_eq!(peer.links().len(), 1);
    still(
        their_peer.links().is_empty(),
        "without polls it stands still",
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_began_a_dial_may_leave_it_to_the_others() {
    let peer = Peer::new(&[Dial::AcceptAfter(Duration::from_millis(50))]);
    let ours = peer.connect_by_default();
    let mut first = Spawn::new(ours.clone());
    assert_pending!(first.poll_ready());
    settle().await;
    drop(first);
    assert_eq!(ours.oneshot(1).await.unwrap(), (1, 1));
    assert_eq!(peer.dials(), 1);

    // It cannot be cloned: the dial ends with it.
    let peer = Peer::new(&[Dial::AcceptAfter(Duration::from_millis(50))]);
    let mut theirs = Spawn::new(theirs(&peer));
    assert_pending!(theirs.poll_ready());
    let under_way = peer.dialling().0;
    drop(theirs);
    still(
        under_way == 1 && peer.dialling().0 == 0,
        "a dial is its handle's",
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_maker_is_no_panic_of_the_caller() {
    let peer = Peer::new(&[Dial::PanicInCall]);
    let error = fail_fast(&peer).oneshot(1).await.unwrap_err();
    let unavailable = error.downcast_ref::<Unavailable>().unwrap();
    assert!(unavailable.cause().is::<ConnectPanic>());

    let mut theirs = Spawn::new(theirs(&Peer::new(&[Dial::PanicInCall])));
    still(
        panics(|| theirs.poll_ready().is_ready()),
        "a panic of the maker is the caller's",
    );
}

//! tower-resilience-reconnect 0.14.

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use tower::ServiceExt;
use tower_resilience_reconnect::{ReconnectConfig, ReconnectService};
use tower_service::Service;

use crate::{
    support::{Dial, Maker, Peer, TICK},
    theirs::still,
};

/// There clones poll one dial, which keeps the waker of the last: of four that wait, one is woken.
#[tokio::test(start_paused = true)]
async fn all_clones_that_wait_for_a_dial_are_woken_by_it() {
    let took = Duration::from_millis(100);
    let peer = Peer::new(&[Dial::AcceptAfter(took)]);
    let service = peer.connect_by_default();
    let begun = Instant::now();
    let mut waiting = JoinSet::new();
    for request in 0..4 {
        waiting.spawn(service.clone().oneshot(request));
    }
    for answer in waiting.join_all().await {
        assert_eq!(answer.unwrap().0, 1);
    }
    assert!(Instant::now() - begun <= took + TICK);
    assert_eq!(peer.dials(), 1);

    let service = theirs(&Peer::new(&[Dial::AcceptAfter(took)]));
    let mut waiting = JoinSet::new();
    for request in 0..4 {
        waiting.spawn(service.clone().oneshot(request));
    }
    still(
        answered(&mut waiting).await < 4,
        "one of those that wait is woken",
    );
}

/// There the one that polls is the one that dials: when it leaves, the others sleep on.
#[tokio::test(start_paused = true)]
async fn the_last_to_ask_may_leave() {
    let peer = Peer::new(&[Dial::AcceptAfter(Duration::from_millis(100))]);
    let service = peer.connect_by_default();
    let mut waiting = JoinSet::new();
    for request in 0..3 {
        waiting.spawn(service.clone().oneshot(request));
    }
    tokio::time::sleep(TICK).await;
    let last = tokio::spawn(service.clone().oneshot(7));
    tokio::time::sleep(TICK).await;
    last.abort();
    let answers = timeout(Duration::from_secs(1), waiting.join_all()).await;
    assert!(answers.unwrap().iter().all(Result::is_ok));

    let service = theirs(&Peer::new(&[Dial::AcceptAfter(Duration::from_millis(100))]));
    let mut waiting = JoinSet::new();
    for request in 0..3 {
        waiting.spawn(service.clone().oneshot(request));
    }
    tokio::time::sleep(TICK).await;
    let last = tokio::spawn(service.clone().oneshot(7));
    tokio::time::sleep(TICK).await;
    last.abort();
    still(
        answered(&mut waiting).await == 0,
        "the one who leaves takes the waker along",
    );
}

/// There a request must be `Clone`, and both errors `std::error::Error`, which a boxed one is not.
#[tokio::test(start_paused = true)]
async fn requests_need_no_clone_and_errors_may_be_boxed() {
    struct Request(u64);
    let dial = tower::service_fn(|_: &'static str| async {
        let connection = tower::service_fn(|Request(number)| async move {
            match number {
                0 => Err(tower::BoxError::from("zero")),
                number => Ok(number),
            }
        });
        Ok::<_, tower::BoxError>(connection)
    });
    let layer = tower_reconnect::ReconnectLayer::new("peer");
    let service = tower_layer::Layer::layer(&layer, dial);
    assert_eq!(service.clone().oneshot(Request(7)).await.unwrap(), 7);
    assert!(service.oneshot(Request(0)).await.is_err());
}

/// Its #286 in other crates of the family: a clone of what was ready is not ready itself.
#[tokio::test(start_paused = true)]
async fn readiness_is_not_inherited_by_a_clone() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = peer.connect_by_default();
    service.ready().await.unwrap();
    let error = service.clone().call(1).await.unwrap_err();
    assert!(error.is::<tower_reconnect::error::NotReady>());
    assert_eq!(service.call(2).await.unwrap(), (1, 2));
}

fn theirs(peer: &Peer) -> ReconnectService<Maker, &'static str> {
    ReconnectService::new(peer.maker(), "peer", ReconnectConfig::default())
}

/// How many have an answer within ten times of what the dial takes.
async fn answered<T: 'static>(waiting: &mut JoinSet<T>) -> usize {
    let mut answered = 0;
    let all = async {
        while waiting.join_next().await.is_some() {
            answered += 1;
        }
    };
    let _ = timeout(Duration::from_secs(1), all).await;
    answered
}

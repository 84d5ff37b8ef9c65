//! A dial that follows no failure, put off; and delays that follow from a seed.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::time::Duration;

use support::{Dial, Peer};
use tokio::time::{Instant, timeout};
use tower::ServiceExt;
use tower_reconnect::{Mode, ReconnectLayer, State, error::Unavailable};

const JITTER: Duration = Duration::from_secs(8);

/// How long a service with this seed waits for its first connection.
async fn first_wait(seed: u64, jitter: Duration) -> Duration {
    let peer = Peer::new(&[Dial::Accept]);
    let builder = ReconnectLayer::builder("peer").first_dial_jitter(jitter);
    let mut service = peer.connect(builder.seed(seed));
    let begun = Instant::now();
    service.ready().await.unwrap();
    assert_eq!(peer.dials(), 1);
    Instant::now() - begun
}

#[tokio::test(start_paused = true)]
async fn clients_that_begin_at_once_are_spread_evenly() {
    let mut eighths = [0; 8];
    for seed in 0..800 {
        let wait = first_wait(seed, JITTER).await;
        // The timer rounds up to a millisecond.
        let eighth = (wait.as_nanos() * 8 / (JITTER.as_nanos() + 1_000_000)) as usize;
        eighths[eighth] += 1;
    }
    // A hundred each, with a standard deviation of 9.4.
    assert!(
        eighths.iter().all(|count| (65..135).contains(count)),
        "{eighths:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn by_default_the_first_dial_is_at_once() {
    assert_eq!(first_wait(7, Duration::ZERO).await, Duration::ZERO);
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = peer.connect_by_default();
    let begun = Instant::now();
    service.ready().await.unwrap();
    assert_eq!(Instant::now(), begun);
}

#[tokio::test(start_paused = true)]
async fn the_dial_after_a_stable_connection_is_put_off_too() {
    let peer = Peer::new(&[Dial::Accept]);
    let builder = ReconnectLayer::builder("peer").first_dial_jitter(JITTER);
    let mut service = peer.connect(builder.seed(7));
    service.ready().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    peer.link().kill();
    let begun = Instant::now();
    service.ready().await.unwrap();
    let waited = Instant::now() - begun;
    assert!(!waited.is_zero() && waited <= JITTER + Duration::from_millis(1));
    assert_eq!(service.watch().stats().unstable, 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_before_the_first_dial_leaves_no_dial() {
    let peer = Peer::new(&[Dial::Accept]);
    let builder = ReconnectLayer::builder("peer").first_dial_jitter(JITTER);
    let mut service = peer.connect(builder.seed(7));
    assert!(
        timeout(Duration::from_millis(1), service.ready())
            .await
            .is_err()
    );
    let watch = service.watch();
    assert!(matches!(watch.state(), State::Idle));
    drop(service);
    tokio::time::sleep(2 * JITTER).await;
    assert_eq!(peer.dials(), 0);
}

/// The dial is put off beyond the bound of the wait.
#[tokio::test(start_paused = true)]
async fn a_refusal_says_until_when_the_dial_is_put_off() {
    let bound = Duration::from_millis(300);
    let peer = Peer::new(&[Dial::Accept]);
    let builder = ReconnectLayer::builder("peer")
        .first_dial_jitter(JITTER)
        .seed(7);
    let service = peer.connect(builder.mode(Mode::BoundedWait(bound)));
    let error = service.clone().oneshot(1).await.unwrap_err();
    let error = error.downcast_ref::<Unavailable>().unwrap();
    assert_eq!(peer.dials(), 0);
    assert!(error.to_string().contains("yet: retry in "), "{error}");
    // The refused request is demand for it.
    let mut watch = service.watch();
    assert!(watch.changed().await);
    assert!(matches!(watch.state(), State::Connecting) || watch.state().is_connected());
    let late = Instant::now() - error.next_attempt();
    assert!(late <= Duration::from_millis(1), "{late:?}");
    assert!(Instant::now() >= error.next_attempt());
}

#[tokio::test(start_paused = true)]
async fn a_seed_says_all() {
    let mut gaps = Vec::new();
    for seed in [7, 7, 8] {
        let peer = Peer::new(&[Dial::Refuse]);
        let mut service = peer.connect(ReconnectLayer::builder("peer").seed(seed));
        let minute = Duration::from_secs(60);
        assert!(timeout(minute, service.ready()).await.is_err());
        gaps.push(peer.gaps());
    }
    assert_eq!(gaps[0], gaps[1]);
    assert_ne!(gaps[0], gaps[2]);
}

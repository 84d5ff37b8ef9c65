//! `tower::retry::backoff`, which is what `tower::reconnect` can be given a backoff with, and
//! linkerd2-proxy's, which has the same arithmetic.

use std::{collections::HashSet, time::Duration};

use tokio::time::{Instant, timeout};
use tower::{
    ServiceExt,
    retry::backoff::{Backoff as _, ExponentialBackoffMaker, MakeBackoff},
    util::rng::HasherRng,
};
use tower_reconnect::ReconnectLayer;

use crate::{
    support::{Dial, Peer},
    theirs::still,
};

const SECOND: Duration = Duration::from_secs(1);

/// The times between the dials of one client in five minutes.
async fn ours(base: Duration, max: Duration) -> Vec<Duration> {
    let peer = Peer::new(&[Dial::Refuse]);
    let mut service = peer.connect(ReconnectLayer::builder("peer").backoff(base, max));
    assert!(timeout(300 * SECOND, service.ready()).await.is_err());
    peer.gaps()
}

fn theirs(base: Duration, max: Duration) -> ExponentialBackoffMaker {
    ExponentialBackoffMaker::new(base, max, 0.99, HasherRng::default()).unwrap()
}

fn waits(maker: &mut ExponentialBackoffMaker, count: usize) -> Vec<Duration> {
    let mut session = maker.make_backoff();
    let next = || session.next_backoff().deadline() - Instant::now();
    std::iter::repeat_with(next).take(count).collect()
}

fn different(waits: &[Duration]) -> usize {
    waits.iter().collect::<HashSet<_>>().len()
}

#[tokio::test(start_paused = true)]
async fn no_two_clients_wait_alike() {
    let mut seen = HashSet::new();
    for _ in 0..20 {
        seen.insert(ours(SECOND, 8 * SECOND).await);
    }
    assert_eq!(seen.len(), 20);

    let mut maker = theirs(60 * SECOND, 3600 * SECOND);
    let sessions: HashSet<_> = (0..20).map(|_| waits(&mut maker, 3)).collect();
    still(sessions.len() == 1, "all sessions have the same jitter");
}

#[tokio::test(start_paused = true)]
async fn whole_seconds_have_their_jitter_too() {
    let ours = ours(SECOND, SECOND).await;
    assert!(
        different(&ours) > ours.len() / 3,
        "of the timer's 125 ms: {ours:?}"
    );
    assert!(ours.iter().all(|gap| *gap >= SECOND * 7 / 16));

    let mut theirs = theirs(SECOND, 3600 * SECOND);
    let first: Vec<_> = (0..20).map(|_| waits(&mut theirs, 1)[0]).collect();
    still(
        first.iter().all(|wait| *wait == SECOND),
        "the jitter of a whole second is nothing",
    );
}

#[tokio::test(start_paused = true)]
async fn waits_differ_at_the_cap_too() {
    let ours = ours(SECOND, 8 * SECOND).await.split_off(5);
    assert!(ours.len() > 25 && different(&ours) > 20, "{ours:?}");
    assert!(
        ours.iter()
            .all(|gap| *gap >= 7 * SECOND && *gap <= 8 * SECOND)
    );

    let at_the_cap = waits(&mut theirs(SECOND, 8 * SECOND), 20).split_off(5);
    still(
        at_the_cap.iter().all(|wait| *wait == 8 * SECOND),
        "there is no jitter at the cap",
    );
}

#[tokio::test(start_paused = true)]
async fn no_wait_is_for_ever() {
    let peer = Peer::new(&[Dial::Refuse]);
    let mut service = peer.connect_by_default();
    assert!(timeout(3600 * SECOND, service.ready()).await.is_err());
    assert!(
        peer.gaps()
            .iter()
            .all(|gap| *gap <= 8 * SECOND + Duration::from_millis(1))
    );

    let waits = waits(&mut ExponentialBackoffMaker::default(), 25);
    let day = 24 * 3600 * SECOND;
    still(
        waits.last().unwrap() > &day,
        "its default has no maximum to speak of",
    );
}

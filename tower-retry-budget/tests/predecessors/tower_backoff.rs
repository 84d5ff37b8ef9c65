//! `tower::retry::backoff`, and that of linkerd2-proxy, which has the same arithmetic.

use std::{collections::HashSet, time::Duration};

use tokio::time::Instant;
use tower::{
    Layer, ServiceExt,
    retry::backoff::{Backoff as _, ExponentialBackoffMaker, MakeBackoff},
    util::rng::{HasherRng, Rng},
};
use tower_retry_budget::{Backoff, RetryLayer};

use crate::{
    support::{Answer, World, tokens},
    theirs::{panics, still},
};

const SECOND: Duration = Duration::from_secs(1);

fn ours(base: Duration, max: Duration) -> Backoff {
    Backoff::new(base, max).unwrap()
}

fn theirs(base: Duration, max: Duration) -> ExponentialBackoffMaker {
    ExponentialBackoffMaker::new(base, max, 0.99, HasherRng::default()).unwrap()
}

/// What a session waits, one after another.
fn waits(maker: &mut ExponentialBackoffMaker, count: usize) -> Vec<Duration> {
    let mut session = maker.make_backoff();
    let next = || session.next_backoff().deadline() - Instant::now();
    std::iter::repeat_with(next).take(count).collect()
}

fn different(waits: impl IntoIterator<Item = Duration>) -> usize {
    waits.into_iter().collect::<HashSet<_>>().len()
}

#[tokio::test(start_paused = true)]
async fn no_two_requests_wait_alike() {
    let backoff = ours(60 * SECOND, 60 * SECOND);
    let layer = RetryLayer::builder(tokens(10)).backoff(backoff).build();
    let layer = layer.unwrap();
    let mut took = Vec::new();
    for _ in 0..10 {
        let world = World::answering([Answer::Err("reset"), Answer::Ok("fine")]);
        let begun = Instant::now();
        layer.layer(world.probe()).oneshot(()).await.unwrap();
        took.push(Instant::now() - begun);
    }
    assert!(different(took) >= 9);

    let mut maker = theirs(60 * SECOND, 3600 * SECOND);
    let sessions = (0..10).map(|_| waits(&mut maker, 3));
    still(
        sessions.collect::<HashSet<_>>().len() == 1,
        "each session has the jitter of all others",
    );
}

#[tokio::test(start_paused = true)]
async fn whole_seconds_have_their_jitter_too() {
    let backoff = ours(SECOND, 10 * SECOND);
    let first = (0..100).map(|seed| backoff.session(seed).next());
    assert!(different(first) >= 99);

    let first = (0..100).map(|_| waits(&mut theirs(SECOND, 10 * SECOND), 1)[0]);
    still(
        different(first) == 1,
        "the jitter of a whole second is nothing",
    );
}

/// Where seconds and the rest are scaled one by one, most of the range is never drawn.
#[test]
fn a_second_and_a_bit_is_spread_over_its_whole_range() {
    let backoff = ours(Duration::from_millis(1600), 10 * SECOND);
    let first: Vec<_> = (0..1000).map(|seed| backoff.session(seed).next()).collect();
    let (least, most) = (first.iter().min().unwrap(), first.iter().max().unwrap());
    assert!(*least < Duration::from_millis(810), "{least:?}");
    assert!(*most > Duration::from_millis(1590), "{most:?}");
}

#[tokio::test(start_paused = true)]
async fn waits_differ_at_the_cap_too() {
    let mut session = ours(SECOND, 8 * SECOND).session(7);
    let mut ours: Vec<_> = (0..20).map(|_| session.next()).collect();
    assert!(different(ours.split_off(10)) >= 9);

    let mut theirs = waits(&mut theirs(SECOND, 8 * SECOND), 20);
    let at_the_cap = theirs.split_off(10);
    still(
        at_the_cap.iter().all(|wait| *wait == 8 * SECOND),
        "there is no jitter at the cap",
    );
}

#[tokio::test(start_paused = true)]
async fn no_wait_is_for_ever() {
    let day = 24 * 60 * 60 * SECOND;
    let mut session = Backoff::default().session(7);
    assert!((0..60).all(|_| session.next() <= Duration::from_millis(400)));
    assert!(Backoff::new(SECOND, 2 * day).is_err());

    let waits = waits(&mut ExponentialBackoffMaker::default(), 25);
    still(
        waits.last().unwrap() > &day,
        "its default has no maximum to speak of",
    );
}

#[tokio::test(start_paused = true)]
async fn no_draw_makes_it_panic() {
    // Most of these draw the least that there is.
    let backoff = ours(Duration::from_nanos(2), Duration::from_nanos(2));
    for seed in 0..1000 {
        let wait = backoff.session(seed).next();
        assert!((1..=2).contains(&wait.as_nanos()));
    }

    /// Draws the least of its range, as any may.
    #[derive(Clone)]
    struct Least;
    impl Rng for Least {
        fn next_u64(&mut self) -> u64 {
            0
        }
    }
    let maker = ExponentialBackoffMaker::new(SECOND, SECOND, 0.5, Least);
    let mut session = maker.unwrap().make_backoff();
    let theirs = panics(|| session.next_backoff());
    if cfg!(debug_assertions) {
        still(theirs, "a draw of zero is a panic");
    }
}

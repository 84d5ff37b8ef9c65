//! How long a retry waits.

use std::time::Duration;

use tokio::time::Instant;
use tower::Layer;
use tower_retry_budget::RetryLayer;

mod support;

use support::{
    Answer, World,
    rules::{ByText, send},
    tokens, within,
};

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_server_asks_for_is_kept() {
    let world = World::answering([Answer::Ok("wait"), Answer::Ok("busy"), Answer::Ok("fine")]);
    let builder = RetryLayer::builder(tokens(20)).policy(ByText { retryable: true });
    let layer = builder.build().unwrap();
    let start = Instant::now();
    assert_eq!(send(&mut layer.layer(world.probe())).await.0, Ok("fine"));
    let took = Instant::now().duration_since(start);
    // Up to a quarter more, and the backoff of the second retry.
    assert!(took > Duration::from_millis(3_050), "{took:?}");
    assert!(took < Duration::from_millis(3_853), "{took:?}");
}

/// How long clients wait that have all been asked for the same three seconds.
async fn asked_to_wait(layer: impl Fn(u64) -> RetryLayer<ByText>) -> Vec<Duration> {
    let mut waits = Vec::new();
    for client in 0..200 {
        let world = World::answering([Answer::Ok("wait"), Answer::Ok("fine")]);
        let start = Instant::now();
        let layer = layer(client);
        assert_eq!(send(&mut layer.layer(world.probe())).await.0, Ok("fine"));
        waits.push(Instant::now().duration_since(start));
    }
    waits
}

fn seeded(seed: Option<u64>) -> RetryLayer<ByText> {
    let builder = RetryLayer::builder(tokens(999)).policy(ByText { retryable: true });
    let builder = match seed {
        Some(seed) => builder.seed(seed),
        None => builder,
    };
    builder.build().expect("valid")
}

#[tokio::test(start_paused = true)]
async fn told_to_wait_alike_clients_come_back_apart_and_not_too_early() {
    let mut waits = asked_to_wait(|_| seeded(None)).await;
    waits.sort();
    let (first, last) = (waits[0], waits[199]);
    assert!(first >= Duration::from_secs(3), "{first:?}");
    assert!(last <= Duration::from_millis(3_752), "{last:?}");
    // Uniform over 750 ms: the chance that a quarter is empty is below 10^-24, and that more than
    // 90 of 200 are in one below 10^-8.
    for quarter in 0..4 {
        let start = Duration::from_micros(3_000_000 + 187_500 * quarter);
        let end = start + Duration::from_micros(187_500);
        let count = waits.iter().filter(|wait| (start..end).contains(wait));
        assert!((1..90).contains(&count.count()), "{quarter} {waits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_seed_says_all_waits_and_each_seed_says_others() {
    let one = asked_to_wait(|client| seeded(Some(client))).await;
    let again = asked_to_wait(|client| seeded(Some(client))).await;
    assert_eq!(one, again);
    let other = asked_to_wait(|client| seeded(Some(client + 1_000))).await;
    let same = one.iter().zip(&other).filter(|(one, other)| one == other);
    // A tick of the timer is one of 750 milliseconds.
    assert!(same.count() < 20);

    // Also one layer's requests.
    for seed in 0..3 {
        let layer = seeded(Some(seed));
        let mut waits = asked_to_wait(|_| layer.clone()).await;
        waits.sort();
        waits.dedup();
        assert!(waits.len() > 100, "{}", waits.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_longer_backoff_is_not_shortened_by_the_server() {
    let minute = Duration::from_secs(60);
    let world = World::answering([Answer::Ok("wait"), Answer::Ok("fine")]);
    let builder = RetryLayer::builder(tokens(20)).backoff(within(minute, minute));
    let layer = builder.policy(ByText { retryable: true }).build().unwrap();
    let start = Instant::now();
    assert_eq!(send(&mut layer.layer(world.probe())).await.0, Ok("fine"));
    assert!(Instant::now().duration_since(start) > minute / 2);
}

#[tokio::test(start_paused = true)]
async fn each_wait_is_longer_by_the_factor() {
    let world = World::answering([
        Answer::Ok("busy"),
        Answer::Ok("busy"),
        Answer::Ok("busy"),
        Answer::Ok("fine"),
    ]);
    let hours = |hours: u64| Duration::from_secs(3_600 * hours);
    let builder = RetryLayer::builder(tokens(20)).backoff(within(hours(1), hours(24)));
    let layer = builder.attempts(4).policy(ByText { retryable: true });
    let start = Instant::now();
    let service = &mut layer.build().unwrap().layer(world.probe());
    assert_eq!(send(service).await.0, Ok("fine"));
    let took = Instant::now().duration_since(start);
    assert!(took > hours(7) / 2 && took <= hours(7), "{took:?}");
}

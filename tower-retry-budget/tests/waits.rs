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
    assert!(took > Duration::from_millis(3_050), "{took:?}");
    assert!(took < Duration::from_millis(3_103), "{took:?}");
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

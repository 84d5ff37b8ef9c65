//! How long a resend waits, for what, and what it lets go.

use std::time::Duration;

use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, task};
use tower::Layer;

mod support;

use support::{
    Failure, Readiness, World,
    resends::{BOTH, BUSY, FINE, ONLY_RESEND, REFUSED, builder, layer, refusals},
    rules::send,
    tokens, within,
};

#[tokio::test(start_paused = true)]
async fn the_first_resend_is_at_once_and_later_ones_back_off() {
    let hours = |hours: u64| Duration::from_secs(3_600 * hours);
    let budget = tokens(20);
    let builder = builder(&budget, ONLY_RESEND).backoff(within(hours(1), hours(24)));
    let layer = builder.resends(9).build().unwrap();
    for (refused, shortest, longest) in [(1, 0, 0), (2, 1, 2), (3, 3, 6), (4, 7, 14)] {
        let world = World::answering(vec![REFUSED; refused].into_iter().chain([FINE]));
        let start = Instant::now();
        assert_eq!(send(&mut layer.layer(world.probe())).await.0, Ok("fine"));
        let took = Instant::now().duration_since(start);
        assert!(took >= hours(shortest) / 2, "{refused}: {took:?}");
        assert!(
            took <= hours(longest) / 2 + Duration::from_millis(9),
            "{refused}: {took:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_resend_does_not_lengthen_the_backoff_of_a_retry() {
    let hour = Duration::from_secs(3_600);
    let budget = tokens(20);
    let builder = builder(&budget, BOTH).backoff(within(hour, 24 * hour));
    let layer = builder.resends(1).build().unwrap();
    let world = World::answering([REFUSED, BUSY, FINE]);
    let start = Instant::now();
    assert_eq!(send(&mut layer.layer(world.probe())).await.0, Ok("fine"));
    let took = Instant::now().duration_since(start);
    assert!(
        took >= hour / 2 && took <= hour + Duration::from_millis(9),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn readiness_is_waited_for_no_longer_than_for_a_retry() {
    let budget = tokens(20);
    let layer = layer(&budget, 3, 2, ONLY_RESEND);
    let world = World::answering([REFUSED]);
    world.then_ready([Readiness::Ready]);
    world.then_ready(vec![Readiness::Pending; 16]);
    let start = Instant::now();
    let (result, _) = send(&mut layer.layer(world.probe())).await;
    assert_eq!(result, Err(Failure("refused")));
    let took = Instant::now().duration_since(start);
    let second = Duration::from_secs(1);
    assert!(
        took >= second && took <= second + Duration::from_millis(9),
        "{took:?}"
    );
    assert_eq!(layer.stats().resent, 0, "it is counted when it is sent");
    assert_eq!(refusals(layer.stats()), [("not_ready", 1)]);
    let stats = budget.stats();
    assert_eq!((stats.withdrawn, stats.refunded), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_error_from_readiness_uses_up_a_resend() {
    let layer = layer(&tokens(20), 1, 2, ONLY_RESEND);
    let world = World::answering([REFUSED]);
    let refused = Readiness::Err("refused");
    world.then_ready([Readiness::Ready, refused.clone(), refused]);
    let (result, _) = send(&mut layer.layer(world.probe())).await;
    assert_eq!(result, Err(Failure("refused")));
    assert_eq!((world.calls().len(), world.polls()), (1, 3));
    assert_eq!(layer.stats().resent, 0);
    assert_eq!(refusals(layer.stats()), [("not_retryable", 1)]);
}

#[tokio::test(start_paused = true)]
async fn dropped_while_it_waits_it_releases_what_it_holds() {
    let budget = tokens(5);
    let minute = Duration::from_secs(60);
    let builder = builder(&budget, ONLY_RESEND).backoff(within(minute, minute));
    let layer = builder.resends(2).build().unwrap();
    let world = World::answering([REFUSED, REFUSED]);
    let mut service = layer.layer(world.probe());
    let mut response = task::spawn(send(&mut service));
    assert_pending!(response.poll());
    assert_eq!((world.calls().len(), world.in_flight()), (2, 0));
    advance(Duration::from_micros(1003)).await;
    assert_pending!(response.poll());
    drop(response);
    assert_eq!(world.reserved(), 0);
    let stats = budget.stats();
    assert_eq!(
        (stats.balance, stats.withdrawn, stats.refunded),
        (5.0, 0, 0)
    );
}

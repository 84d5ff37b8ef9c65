//! A dropped response future releases what it holds and refunds only what was never sent.

use std::time::Duration;

use tokio::time::advance;
use tokio_test::{assert_pending, task};
use tower::Layer;
use tower_retry_budget::{Budget, Retry, RetryLayer, RetryStats};
use tower_service::Service;

mod support;

use support::{Answer, Probe, Readiness, World, at_once, tokens};

type Response = task::Spawn<<Retry<Probe> as Service<()>>::Future>;

/// A request that has been polled once, with what it draws on.
fn started(layer: &RetryLayer, world: &World) -> Response {
    let mut service = task::spawn(layer.layer(world.probe()));
    let ready = service.enter(|cx, mut service| Service::<()>::poll_ready(&mut *service, cx));
    assert!(ready.is_ready());
    let mut response = task::spawn(service.call(()));
    assert_pending!(response.poll());
    response
}

fn assert_nothing_held(world: &World, budget: &Budget, balance: f64) {
    assert_eq!(world.in_flight(), 0);
    assert_eq!(world.reserved(), 0);
    assert_eq!(budget.stats().balance, balance);
    assert_eq!(budget.stats().deposited, 0);
}

#[tokio::test(start_paused = true)]
async fn during_the_backoff_the_token_is_refunded() {
    let (budget, world) = (tokens(5), World::answering([Answer::Err("reset")]));
    let layer = RetryLayer::new(budget.clone());
    let response = started(&layer, &world);
    assert_eq!(budget.stats().balance, 4.0);
    assert_eq!(
        world.in_flight(),
        0,
        "the finished attempt is gone during the wait"
    );
    drop(response);
    assert_nothing_held(&world, &budget, 5.0);
    assert_eq!(layer.stats().retries, 0);
}

#[tokio::test(start_paused = true)]
async fn while_the_service_is_not_ready_the_token_is_refunded() {
    let (budget, world) = (tokens(5), World::answering([Answer::Err("reset")]));
    world.then_ready([Readiness::Ready, Readiness::Pending]);
    let mut response = started(&RetryLayer::new(budget.clone()), &world);
    advance(Duration::from_micros(251_003)).await;
    assert_pending!(response.poll());
    assert_eq!(world.polls(), 2);
    drop(response);
    assert_nothing_held(&world, &budget, 5.0);
}

#[tokio::test(start_paused = true)]
async fn once_the_retry_is_sent_the_token_stays_spent() {
    let answers = [Answer::Err("reset"), Answer::Never];
    let (budget, world) = (tokens(5), World::answering(answers));
    let layer = RetryLayer::builder(budget.clone()).backoff(at_once());
    let response = started(&layer.build().unwrap(), &world);
    assert_eq!(world.in_flight(), 1);
    drop(response);
    assert_nothing_held(&world, &budget, 4.0);
    assert_eq!(budget.stats().refunded, 0);
}

#[tokio::test(start_paused = true)]
async fn during_the_first_attempt_nothing_is_counted() {
    let (budget, world) = (tokens(5), World::answering([Answer::Never]));
    let layer = RetryLayer::new(budget.clone());
    drop(started(&layer, &world));
    assert_nothing_held(&world, &budget, 5.0);
    let mut expected = RetryStats::default();
    expected.requests = 1;
    assert_eq!(layer.stats(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_was_polled_ready_and_dropped_releases_its_reservation() {
    let world = World::default();
    let mut service = task::spawn(RetryLayer::new(tokens(1)).layer(world.probe()));
    let ready = service.enter(|cx, mut service| Service::<()>::poll_ready(&mut *service, cx));
    assert!(ready.is_ready());
    assert_eq!(world.reserved(), 1);
    drop(service);
    assert_eq!(world.reserved(), 0);
}

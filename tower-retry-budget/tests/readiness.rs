//! Readiness is sticky and owned: the instance that was polled ready is the one that is called.

use std::{pin::pin, time::Duration};

use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower::Layer;
use tower_retry_budget::RetryLayer;
use tower_service::Service;
use tower_test::mock;

mod support;

use support::{Answer, Failure, Readiness, World, at_once, tokens};

const ODD: Duration = Duration::from_micros(251_003);

#[tokio::test(start_paused = true)]
async fn the_first_attempt_calls_the_instance_that_was_polled() {
    let world = World::answering([Answer::Ok("a"), Answer::Ok("b")]);
    let mut service = RetryLayer::new(tokens(20)).layer(world.probe());
    for _ in 0..2 {
        std::future::poll_fn(|cx| Service::<()>::poll_ready(&mut service, cx))
            .await
            .unwrap();
        service.call(()).await.unwrap();
    }
    assert_eq!(world.calls(), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn all_retries_go_through_one_kept_clone_that_is_polled_before_each() {
    let world = World::answering([Answer::Err("a"), Answer::Err("b"), Answer::Ok("c")]);
    let mut service = RetryLayer::new(tokens(20)).layer(world.probe());
    std::future::poll_fn(|cx| Service::<()>::poll_ready(&mut service, cx))
        .await
        .unwrap();
    assert_eq!(service.call(()).await, Ok("c"));
    assert_eq!(world.calls(), [0, 2, 2]);
    assert_eq!(world.clones(), 1);
    assert_eq!(world.polls(), 3);
}

#[test]
fn poll_ready_asks_the_inner_service_and_call_does_not() {
    let world = World::answering([Answer::Ok("a")]);
    world.then_ready([Readiness::Pending]);
    let mut service = task::spawn(RetryLayer::new(tokens(20)).layer(world.probe()));
    assert_pending!(service.enter(|cx, mut service| Service::<()>::poll_ready(&mut *service, cx)));
    world.wake();
    assert!(service.is_woken());
    for _ in 0..2 {
        let ready = service.enter(|cx, mut service| Service::<()>::poll_ready(&mut *service, cx));
        assert_ready_ok!(ready);
    }
    assert_eq!(world.polls(), 3);
    drop(service.call(()));
    assert_eq!(world.polls(), 3);
}

#[test]
fn an_error_of_readiness_before_the_first_attempt_is_passed_on() {
    let world = World::default();
    world.then_ready([Readiness::Err("closed")]);
    let mut service = task::spawn(RetryLayer::new(tokens(20)).layer(world.probe()));
    let ready = service.enter(|cx, mut service| Service::<()>::poll_ready(&mut *service, cx));
    assert_eq!(assert_ready_err!(ready), Failure("closed"));
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_until_the_kept_clone_is_ready() {
    let (service, mut handle) = mock::pair::<&str, &str>();
    let mut service = task::spawn(RetryLayer::new(tokens(20)).layer(service));
    handle.allow(1);
    assert_ready_ok!(service.enter(|cx, mut service| service.poll_ready(cx)));
    let mut response = task::spawn(service.call("request"));
    assert_pending!(response.poll());
    let (request, send) = assert_ready!(task::spawn(pin!(handle.next_request())).poll()).unwrap();
    assert_eq!(request, "request");
    handle.allow(0);
    send.send_error("reset");
    assert_pending!(response.poll());
    advance(ODD).await;
    assert_pending!(response.poll());
    assert_pending!(task::spawn(pin!(handle.next_request())).poll());
    handle.allow(1);
    assert!(response.is_woken());
    assert_pending!(response.poll());
    let (_, send) = assert_ready!(task::spawn(pin!(handle.next_request())).poll()).unwrap();
    send.send_response("answer");
    assert_eq!(assert_ready_ok!(response.poll()), "answer");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_on_a_retry_is_classified_and_uses_up_an_attempt() {
    let budget = tokens(20);
    let world = World::answering([Answer::Err("first"), Answer::Ok("third")]);
    world.then_ready([Readiness::Ready, Readiness::Err("not ready")]);
    let layer = RetryLayer::builder(budget.clone()).backoff(at_once());
    let layer = layer.attempts(3).build().unwrap();
    let mut service = layer.layer(world.probe());
    std::future::poll_fn(|cx| Service::<()>::poll_ready(&mut service, cx))
        .await
        .unwrap();
    assert_eq!(service.call(()).await, Ok("third"));
    assert_eq!(
        world.calls(),
        [0, 3],
        "the one that failed is not used again"
    );
    // The attempt that found no readiness was never sent.
    assert_eq!(budget.stats().withdrawn, 2);
    assert_eq!(budget.stats().refunded, 1);
    assert_eq!(layer.stats().retries, 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_on_the_last_attempt_is_returned() {
    let budget = tokens(20);
    let world = World::answering([Answer::Err("first")]);
    world.then_ready([Readiness::Ready, Readiness::Err("not ready")]);
    let layer = RetryLayer::builder(budget.clone()).attempts(2);
    let layer = layer.backoff(at_once()).build().unwrap();
    let mut service = layer.layer(world.probe());
    std::future::poll_fn(|cx| Service::<()>::poll_ready(&mut service, cx))
        .await
        .unwrap();
    assert_eq!(service.call(()).await, Err(Failure("not ready")));
    assert_eq!(budget.stats().balance, 20.0);
    assert_eq!(layer.stats().retries, 0);
    assert_eq!(layer.stats().out_of_attempts, 1);
}

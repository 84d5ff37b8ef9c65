//! A retry does not wait for ever until the service is ready: what was answered is returned.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::Layer;
use tower_retry_budget::{Budget, Builder, RetryLayer, Verdict};
use tower_service::Service;
use tower_test::mock;

mod support;

use support::{Answer, Failure, Readiness, World, at_once, tokens, within};

const TICK: Duration = Duration::from_millis(1);

/// Ready for the first attempt, and then not any more.
fn never_ready_again(answers: impl IntoIterator<Item = Answer>) -> World {
    let world = World::answering(answers);
    world.then_ready([Readiness::Ready]);
    world.then_ready(vec![Readiness::Pending; 16]);
    world
}

async fn send(layer: &RetryLayer, world: &World) -> (Result<&'static str, Failure>, Duration) {
    let mut service = layer.layer(world.probe());
    let start = Instant::now();
    std::future::poll_fn(|cx| Service::<()>::poll_ready(&mut service, cx))
        .await
        .expect("ready");
    let result = service.call(()).await;
    (result, Instant::now().duration_since(start))
}

fn builder(budget: &Budget) -> Builder {
    RetryLayer::builder(budget.clone()).backoff(at_once())
}

fn assert_given_up(layer: &RetryLayer, budget: &Budget) {
    let stats = layer.stats();
    assert_eq!((stats.retries, stats.not_ready), (0, 1));
    assert_eq!(stats.out_of_attempts, 0);
    let stats = budget.stats();
    assert_eq!((stats.withdrawn, stats.refunded), (1, 1));
    assert_eq!(stats.balance, 20.0);
}

#[tokio::test(start_paused = true)]
async fn by_default_the_outcome_is_returned_after_a_second() {
    let (budget, world) = (tokens(20), never_ready_again([Answer::Err("reset")]));
    let layer = builder(&budget).build().unwrap();
    let (result, took) = send(&layer, &world).await;
    assert_eq!(result, Err(Failure("reset")));
    let second = Duration::from_secs(1);
    assert!(took >= second && took <= second + TICK, "{took:?}");
    assert_given_up(&layer, &budget);
    assert_eq!(world.calls(), [0]);
}

#[tokio::test(start_paused = true)]
async fn the_bound_does_not_cut_the_backoff() {
    let (budget, world) = (tokens(20), never_ready_again([Answer::Err("reset")]));
    let minute = Duration::from_secs(60);
    let timeout = Duration::from_millis(1_007);
    let builder = builder(&budget).backoff(within(minute, minute));
    let layer = builder.ready_timeout(timeout).build().unwrap();
    let (result, took) = send(&layer, &world).await;
    assert_eq!(result, Err(Failure("reset")));
    assert!(took >= minute / 2 + timeout, "{took:?}");
    assert!(took <= minute + timeout + 2 * TICK, "{took:?}");
    assert_given_up(&layer, &budget);
}

#[tokio::test(start_paused = true)]
async fn with_zero_the_service_must_be_ready_at_once() {
    let (budget, world) = (tokens(20), never_ready_again([Answer::Err("reset")]));
    let builder = builder(&budget).ready_timeout(Duration::ZERO);
    let layer = builder.build().unwrap();
    // Between two ticks of the timer.
    advance(Duration::from_micros(1_003)).await;
    assert_eq!(
        send(&layer, &world).await,
        (Err(Failure("reset")), Duration::ZERO)
    );
    assert_given_up(&layer, &budget);

    let world = World::answering([Answer::Err("reset"), Answer::Ok("fine")]);
    assert_eq!(send(&layer, &world).await.0, Ok("fine"));
    assert_eq!(layer.stats().retries, 1);
}

#[tokio::test(start_paused = true)]
async fn each_retry_has_the_whole_bound() {
    let answers = [Answer::Err("a"), Answer::Err("b"), Answer::Ok("c")];
    let (budget, world) = (tokens(20), World::answering(answers));
    world.then_ready([Readiness::Ready, Readiness::Pending]);
    let layer = builder(&budget).build().unwrap();
    let mut service = layer.layer(world.probe());
    let mut ready = task::spawn(std::future::poll_fn(|cx| {
        Service::<()>::poll_ready(&mut service, cx)
    }));
    assert_ready_ok!(ready.poll());
    drop(ready);
    let mut response = task::spawn(service.call(()));
    assert_pending!(response.poll());
    advance(Duration::from_micros(700_003)).await;
    world.then_ready([Readiness::Ready, Readiness::Pending]);
    world.wake();
    assert!(response.is_woken());
    assert_pending!(response.poll());
    advance(Duration::from_micros(700_003)).await;
    assert!(!response.is_woken());
    world.wake();
    assert_eq!(assert_ready_ok!(response.poll()), "c");
    assert_eq!((layer.stats().retries, layer.stats().not_ready), (2, 0));
    assert_eq!(budget.stats().refunded, 0);
}

#[tokio::test(start_paused = true)]
async fn a_response_is_kept_until_the_retry_is_sent_and_returned_untouched_if_it_is_not() {
    type Response = Arc<&'static str>;
    let layer = builder(&tokens(20)).policy(|outcome: Result<&Response, &_>| match outcome {
        Ok(text) if **text == "busy" => Verdict::retry(),
        _ => Verdict::Success,
    });
    let layer = layer.build().unwrap();
    for sent in [true, false] {
        let (service, mut handle) = mock::pair::<(), Response>();
        let mut service = task::spawn(layer.layer(service));
        handle.allow(1);
        assert_ready_ok!(service.enter(|cx, mut service| service.poll_ready(cx)));
        let mut response = task::spawn(service.call(()));
        assert_pending!(response.poll());
        let (_, send) = assert_ready!(task::spawn(pin!(handle.next_request())).poll()).unwrap();
        handle.allow(0);
        let busy: Response = Arc::new("busy");
        send.send_response(Arc::clone(&busy));
        assert_pending!(response.poll());
        assert_eq!(Arc::strong_count(&busy), 2, "kept while it waits");
        if sent {
            handle.allow(1);
            assert_pending!(response.poll());
            assert_eq!(
                Arc::strong_count(&busy),
                1,
                "dropped once the retry is sent"
            );
        } else {
            advance(Duration::from_micros(1_001_003)).await;
            assert!(response.is_woken());
            assert!(Arc::ptr_eq(&assert_ready_ok!(response.poll()), &busy));
        }
    }
    assert_eq!((layer.stats().retries, layer.stats().not_ready), (1, 1));
}

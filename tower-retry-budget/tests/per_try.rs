//! A limit for each attempt.

use std::{
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{BoxError, Layer, ServiceExt};
use tower_retry_budget::{
    Budget, Kind, Next, RetryLayer, Verdict,
    error::TryElapsed,
    per_try::{PerTry, TimedPolicy},
};
use tower_service::Service;
use tower_test::mock;

mod support;

use support::{Answer, World, at_once, tokens};

const LIMIT: Duration = Duration::from_micros(100_003);
const TICK: Duration = Duration::from_millis(2);

type Timed<P> = RetryLayer<TimedPolicy<P>, tower_retry_budget::CloneRequest, PerTry>;

fn layer(budget: &Budget, attempts: u32) -> Timed<tower_retry_budget::OnError> {
    let builder = RetryLayer::builder(budget.clone()).backoff(at_once());
    let builder = builder.attempts(attempts).per_try(LIMIT);
    builder.build().expect("valid")
}

#[tokio::test(start_paused = true)]
async fn a_try_that_takes_too_long_ends_and_the_next_one_has_the_whole_limit() {
    let layer = layer(&tokens(40), 3);
    let world = World::answering([Answer::Never, Answer::Never, Answer::Ok("fine")]);
    let start = Instant::now();
    assert_eq!(
        layer.layer(world.probe()).oneshot(()).await.unwrap(),
        "fine"
    );
    let took = Instant::now().duration_since(start);
    assert!(took >= 2 * LIMIT && took <= 2 * (LIMIT + TICK), "{took:?}");
    assert_eq!((layer.stats().retries, layer.stats().recovered), (2, 1));
    assert_eq!(world.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_error_says_that_it_was_an_attempt_and_its_limit() {
    let layer = layer(&tokens(20), 1);
    let world = World::answering([Answer::Never]);
    let mut response = task::spawn(layer.layer(world.probe()).oneshot(()));
    assert_pending!(response.poll());
    advance(LIMIT + TICK).await;
    let error = assert_ready!(response.poll()).unwrap_err();
    let elapsed = error.downcast_ref::<TryElapsed>().expect("typed");
    assert_eq!(elapsed.limit(), LIMIT);
    assert!(error.to_string().contains("`per_try`"), "{error}");
    // Even though the response future is still there.
    assert_eq!(world.in_flight(), 0, "the attempt is dropped at once");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_service_is_passed_on_in_its_box() {
    let layer = layer(&tokens(20), 1);
    let world = World::answering([Answer::Err("reset")]);
    let error = layer.layer(world.probe()).oneshot(()).await.unwrap_err();
    assert!(error.is::<support::Failure>());
    // Not boxed a second time.
    let boxed = tower::service_fn(|(): ()| async { Err::<(), BoxError>("reset".into()) });
    let error = layer.layer(boxed).oneshot(()).await.unwrap_err();
    assert_eq!(error.to_string(), "reset");
}

/// The kinds that the retries of a request of these answers were for.
async fn kinds<P>(policy: P, answers: impl IntoIterator<Item = Answer>) -> Vec<Kind>
where
    P: Fn(Result<&&'static str, &BoxError>) -> Verdict,
{
    let kinds = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&kinds);
    let layer = RetryLayer::builder(tokens(40))
        .backoff(at_once())
        .policy(policy)
        .per_try(LIMIT)
        .prepare(move |_: &mut (), next: Next| seen.lock().expect("alive").push(next.kind));
    let layer = layer.build().expect("valid");
    let world = World::answering(answers);
    let _ = layer.layer(world.probe()).oneshot(()).await;
    let kinds = kinds.lock().expect("alive");
    kinds.clone()
}

#[tokio::test(start_paused = true)]
async fn what_took_too_long_costs_a_timeout_unless_the_policy_names_another_kind() {
    let unnamed = |_: Result<&&str, &BoxError>| Verdict::retry();
    let answers = [Answer::Never, Answer::Err("reset"), Answer::Never];
    assert_eq!(
        kinds(unnamed, answers.clone()).await,
        [Kind::Timeout, Kind::Transient]
    );
    let named = |_: Result<&&str, &BoxError>| Verdict::retry().kind(Kind::Throttled);
    assert_eq!(kinds(named, answers.clone()).await, [Kind::Throttled; 2]);
    let never = |_: Result<&&str, &BoxError>| Verdict::Failure;
    assert_eq!(kinds(never, answers).await, []);
}

#[tokio::test(start_paused = true)]
async fn readiness_is_not_counted() {
    let layer = layer(&tokens(20), 2);
    let (service, mut handle) = mock::pair::<&str, &str>();
    let mut service = task::spawn(layer.layer(service));
    handle.allow(1);
    assert_ready_ok!(service.enter(|cx, mut service| service.poll_ready(cx)));
    let mut response = task::spawn(service.call("request"));
    assert_pending!(response.poll());
    let (_, send) = assert_ready!(task::spawn(pin!(handle.next_request())).poll()).unwrap();
    handle.allow(0);
    send.send_error("reset");
    assert_pending!(response.poll());
    advance(3 * LIMIT).await;
    handle.allow(1);
    assert_pending!(response.poll());
    let (_, send) = assert_ready!(task::spawn(pin!(handle.next_request())).poll()).unwrap();
    advance(LIMIT / 2).await;
    send.send_response("answer");
    assert_eq!(assert_ready_ok!(response.poll()), "answer");
}

#[test]
fn a_limit_out_of_range_is_an_error() {
    for limit in [Duration::ZERO, Duration::from_secs(86_401)] {
        let builder = RetryLayer::builder(tokens(1)).per_try(limit);
        assert_eq!(builder.build().unwrap_err().field(), "per_try");
    }
}

//! The throttle on a service.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_retry_budget::{
    Budget, RetryLayer, Verdict,
    error::Held,
    throttle::{Throttle, ThrottleLayer},
};

mod support;

use support::{Answer, Failure, Readiness, World, at_once};

/// Holds back all but about one in so many.
fn closed() -> Throttle {
    let builder = Throttle::builder().min_per_second(0.0).seed(3);
    let throttle = builder.build().unwrap();
    for _ in 0..10_000 {
        if let Ok(admission) = throttle.admit() {
            admission.refused();
        }
    }
    throttle
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_never_reaches_the_service_and_readiness_never_says_so() {
    let world = World::default();
    world.then_ready([Readiness::Pending, Readiness::Ready]);
    let mut service = ThrottleLayer::new(closed()).layer(world.probe());
    let mut ready = task::spawn(());
    let mut poll = || ready.enter(|cx, _| Service::<()>::poll_ready(&mut service, cx));
    assert_pending!(poll());
    assert_ready_ok!(poll());
    let error = service.call(()).await.unwrap_err();
    let held = error.downcast_ref::<Held>().expect("the throttle's error");
    assert!(held.probability() > 0.99);
    assert_eq!(world.calls(), []);
    assert_eq!(
        world.reserved(),
        1,
        "the service is still ready for another"
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_is_passed_on() {
    let world = World::default();
    world.then_ready([Readiness::Err("gone")]);
    let mut service = ThrottleLayer::new(closed()).layer(world.probe());
    let error = ServiceExt::<()>::ready(&mut service).await.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Failure("gone")));
}

#[tokio::test(start_paused = true)]
async fn each_verdict_counts_as_it_says() {
    let throttle = Throttle::new();
    let layer =
        ThrottleLayer::new(throttle.clone()).policy(|outcome: Result<&&'static str, &Failure>| {
            match outcome {
                Ok(&"fine") => Verdict::Success,
                Ok(&"bad") => Verdict::Failure,
                Ok(&"spoilt") => Verdict::Neutral,
                Err(Failure("not begun")) => Verdict::Unprocessed,
                _ => Verdict::retry(),
            }
        });
    for (answer, requests, accepted) in [
        (Answer::Ok("fine"), 1, 1),
        (Answer::Ok("bad"), 1, 1),
        (Answer::Ok("busy"), 1, 0),
        (Answer::Err("reset"), 1, 0),
        (Answer::Err("not begun"), 1, 0),
        (Answer::Ok("spoilt"), 0, 0),
    ] {
        let before = throttle.stats();
        let world = World::answering([answer.clone()]);
        let mut service = layer.layer(world.probe());
        let service = ServiceExt::<()>::ready(&mut service).await.unwrap();
        let _ = service.call(()).await;
        let after = throttle.stats();
        let added = (
            after.requests - before.requests,
            after.accepted - before.accepted,
        );
        assert_eq!(added, (requests, accepted), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn counted_when_it_is_answered_and_not_before() {
    let throttle = Throttle::new();
    let world = World::answering([Answer::Never]);
    let mut service = ThrottleLayer::new(throttle.clone()).layer(world.probe());
    let service = ServiceExt::<()>::ready(&mut service).await.unwrap();
    let mut response = task::spawn(service.call(()));
    assert_pending!(response.poll());
    tokio::time::advance(Duration::from_millis(4_001)).await;
    assert_pending!(response.poll());
    assert_eq!(throttle.stats().requests, 0);
    drop(response);
    assert_eq!(throttle.stats().requests, 0);
    assert_eq!(world.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn polled_again_after_the_end_it_stays_pending() {
    let throttle = Throttle::new();
    let world = World::answering([Answer::Ok("fine")]);
    let mut service = ThrottleLayer::new(throttle.clone()).layer(world.probe());
    let mut first = task::spawn(
        ServiceExt::<()>::ready(&mut service)
            .await
            .unwrap()
            .call(()),
    );
    assert!(matches!(first.poll(), Poll::Ready(Ok("fine"))));
    assert_pending!(first.poll());
    assert_eq!(throttle.stats().requests, 1);
    let mut service = ThrottleLayer::new(closed()).layer(world.probe());
    let mut held = task::spawn(
        ServiceExt::<()>::ready(&mut service)
            .await
            .unwrap()
            .call(()),
    );
    assert!(matches!(held.poll(), Poll::Ready(Err(_))));
    assert_pending!(held.poll());
}

/// A second of requests for each of which the backend would be called three times, and how many
/// calls there were.
async fn knocks(throttle: Option<Throttle>) -> usize {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let down = service_fn(move |(): ()| {
        counted.fetch_add(1, Relaxed);
        async { Err::<(), _>("down") }
    });
    let budget = Budget::builder().reserve(100_000).burst(100_000);
    let budget = budget.follow_success(false).build().unwrap();
    let retry = RetryLayer::builder(budget)
        .attempts(3)
        .backoff(at_once())
        .build();
    let retry = retry.unwrap().layer(down);
    match throttle {
        Some(throttle) => {
            let mut service = ThrottleLayer::new(throttle).layer(retry);
            for _ in 0..1_000 {
                let _ = service.ready().await.unwrap().call(()).await;
            }
        }
        None => {
            let mut service = retry;
            for _ in 0..1_000 {
                let _ = service.ready().await.unwrap().call(()).await;
            }
        }
    }
    calls.load(Relaxed)
}

#[tokio::test(start_paused = true)]
async fn around_the_retries_it_spares_the_backend_them_too() {
    assert_eq!(knocks(None).await, 3_000);
    let throttle = Throttle::builder().seed(5).build().unwrap();
    let calls = knocks(Some(throttle)).await;
    assert!(calls < 200, "{calls}");
}

//! The retries of linkerd2-proxy, the older and the newer ones.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_retry_budget::{Next, RetryLayer, error::TryElapsed};

use crate::support::{
    Answer, Failure, Request, World, at_once,
    rules::{layer, send},
    tokens,
};

const SECOND: Duration = Duration::from_secs(1);

/// The newer ones have no budget.
#[tokio::test(start_paused = true)]
async fn retries_are_a_share_of_the_traffic_and_not_of_each_request() {
    let world = World::answering(vec![Answer::Err("reset"); 200]);
    let layer = layer(&tokens(10), 3, true);
    for _ in 0..100 {
        let outcome = send(&mut layer.layer(world.probe())).await.0;
        assert_eq!(outcome, Err(Failure("reset")));
    }
    assert_eq!(world.calls().len(), 110);
}

/// There, a service that is not ready at once is an overflow, and there is no retry.
#[tokio::test(start_paused = true)]
async fn a_service_that_is_busy_for_a_moment_is_waited_for_and_not_for_ever() {
    for (busy, expected) in [(SECOND / 2, Ok("fine")), (9 * SECOND, Ok("busy"))] {
        let world = World::answering([Answer::Ok("busy"), Answer::Ok("fine")]);
        let permits = Arc::new(Semaphore::new(1));
        let service = ConcurrencyLimit::with_semaphore(world.probe(), Arc::clone(&permits));
        let mut service = layer(&tokens(10), 3, true).layer(service);
        let ready = ServiceExt::<Request>::ready(&mut service).await.unwrap();
        let request = ready.call(Request::default());
        // Somebody else is next.
        tokio::spawn(async move {
            let _permit = permits.acquire_owned().await;
            sleep(busy).await;
        });
        tokio::task::yield_now().await;
        let begun = Instant::now();
        assert_eq!(request.await, expected);
        let took = Instant::now() - begun;
        let expected = busy.min(SECOND)..busy.min(SECOND) + Duration::from_millis(3);
        assert!(expected.contains(&took), "{took:?}");
    }
}

/// There, the limit of an attempt does not hold for the last one.
#[tokio::test(start_paused = true)]
async fn the_last_attempt_has_a_limit_too() {
    let world = World::answering([Answer::Never, Answer::Never]);
    let builder = RetryLayer::builder(tokens(20)).attempts(2);
    let layer = builder.backoff(at_once()).per_try(SECOND).build().unwrap();
    let request = layer.layer(world.probe()).oneshot(());
    let error = timeout(3 * SECOND, request).await.unwrap().unwrap_err();
    assert!(error.is::<TryElapsed>());
    assert_eq!(world.calls().len(), 2);
}

/// linkerd2 #11669. A retry is told what it is before it is sent, and can be told where it has
/// been.
#[tokio::test(start_paused = true)]
async fn a_retry_need_not_hit_the_endpoint_that_has_just_failed() {
    let service = service_fn(|avoid: Option<u8>| async move {
        let endpoint = if avoid == Some(1) { 2 } else { 1 };
        if endpoint == 1 {
            Err(endpoint)
        } else {
            Ok(endpoint)
        }
    });
    let hook = |avoid: &mut Option<u8>, next: Next| {
        assert_eq!(next.attempt, 2);
        *avoid = Some(1);
    };
    let builder = RetryLayer::builder(tokens(10)).backoff(at_once());
    let layer = builder.prepare(hook).build().unwrap();
    assert_eq!(layer.layer(service).oneshot(None).await, Ok(2));
}

/// With the older ones, what is not to be retried pays in, and that is whatever did not fail in a
/// way that is.
#[tokio::test(start_paused = true)]
async fn only_what_succeeds_pays() {
    let budget = tokens(10);
    let answers = [Answer::Ok("bad"), Answer::Ok("busy"), Answer::Ok("fine")];
    let world = World::answering(answers);
    let layer = layer(&budget, 3, true);
    assert_eq!(send(&mut layer.layer(world.probe())).await.0, Ok("bad"));
    assert_eq!(budget.stats().deposited, 0);
    assert_eq!(send(&mut layer.layer(world.probe())).await.0, Ok("fine"));
    assert_eq!(budget.stats().deposited, 1);
}

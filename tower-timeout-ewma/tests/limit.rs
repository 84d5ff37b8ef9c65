//! What ends a request, when, and what is left of it.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{future::poll_fn, io, task::Poll, time::Duration};

use tokio::time::{Instant, advance, timeout};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_timeout_ewma::{AdaptiveTimeout, AdaptiveTimeoutLayer, error::Elapsed};

mod support;
use support::{Probe, Reply, ms, odd_ms};

#[tokio::test(start_paused = true)]
async fn a_request_ends_at_its_limit_and_the_error_says_so() {
    let start = Instant::now();
    let error = fixed(ms(250)).oneshot(Reply::Never).await.unwrap_err();
    let elapsed = error.downcast_ref::<Elapsed>().unwrap();

    assert_eq!(elapsed.limit(), ms(250));
    assert_eq!(elapsed.elapsed(), Instant::now() - start);
    assert!((ms(250)..ms(252)).contains(&elapsed.elapsed()));
    assert!(elapsed.to_string().contains("the limit was 250ms"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_within_the_limit_passes() {
    let service = fixed(ms(250));
    assert_eq!(
        service.oneshot(Reply::After(ms(249))).await.unwrap(),
        "answer"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_there_wins_over_a_limit_that_has_passed() {
    let mut service = fixed(ms(10));
    let mut response = task::spawn(call(&mut service, Reply::After(ms(5))).await);
    assert_pending!(response.poll());
    advance(odd_ms(20)).await;
    assert_ready_ok!(response.poll());
}

#[tokio::test(start_paused = true)]
async fn a_timed_out_request_is_dropped_at_once() {
    let probe = Probe::default();
    let counts = probe.counts.clone();
    let mut service = AdaptiveTimeoutLayer::fixed(ms(10)).layer(probe);
    let mut response = task::spawn(call(&mut service, Reply::Never).await);

    assert_pending!(response.poll());
    assert_eq!(counts.in_flight(), 1);
    advance(odd_ms(11)).await;
    assert!(response.is_woken(), "the timer wakes the task");
    assert_ready_err!(response.poll());
    assert_eq!(counts.in_flight(), 0, "although the response is still held");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_request_is_dropped() {
    let probe = Probe::default();
    let counts = probe.counts.clone();
    let service = AdaptiveTimeoutLayer::fixed(ms(1000)).layer(probe);

    timeout(ms(7), service.oneshot(Reply::Never))
        .await
        .unwrap_err();
    assert_eq!(counts.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_ended_response_stays_pending() {
    let mut service = fixed(ms(10));
    let mut response = task::spawn(call(&mut service, Reply::Now).await);
    assert_ready_ok!(response.poll());
    assert_pending!(response.poll());
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_read_at_the_call() {
    let layer = AdaptiveTimeoutLayer::builder()
        .min_samples(1)
        .build()
        .unwrap();
    let mut service = layer.layer(Probe::default());
    let mut early = task::spawn(call(&mut service, Reply::Never).await);
    assert_pending!(early.poll());

    call(&mut service, Reply::After(ms(20)))
        .await
        .await
        .unwrap();
    assert!(layer.limit() < ms(100));

    advance(odd_ms(900)).await;
    assert_pending!(early.poll());
    advance(odd_ms(100)).await;
    let error = assert_ready_err!(early.poll());
    assert_eq!(error.downcast_ref::<Elapsed>().unwrap().limit(), ms(1000));
}

#[test]
fn an_answer_at_once_needs_no_timer_and_no_runtime() {
    let mut service = fixed(ms(10));
    let mut ready = task::spawn(service.ready());
    assert_ready_ok!(ready.poll());
    drop(ready);
    let mut response = task::spawn(service.call(Reply::Now));
    assert_ready_ok!(response.poll());
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_zero_lets_only_an_answer_at_once_through() {
    fixed(Duration::ZERO).oneshot(Reply::Now).await.unwrap();

    let mut service = fixed(Duration::ZERO);
    let mut response = task::spawn(call(&mut service, Reply::After(ms(1))).await);
    let error = assert_ready!(response.poll()).unwrap_err();
    assert_eq!(
        error.downcast_ref::<Elapsed>().unwrap().limit(),
        Duration::ZERO
    );
}

#[tokio::test(start_paused = true)]
async fn the_longest_limit_never_ends_a_request() {
    let mut service = fixed(Duration::MAX);
    assert_eq!(service.limit(), Duration::MAX);
    let mut response = task::spawn(call(&mut service, Reply::Never).await);
    assert_pending!(response.poll());
    advance(Duration::from_secs(3600 * 24 * 365)).await;
    assert_pending!(response.poll());
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_service_passes_through() {
    for reply in [Reply::FailNow, Reply::FailAfter(ms(3))] {
        let error = fixed(ms(10)).oneshot(reply).await.unwrap_err();
        let error = error.downcast_ref::<io::Error>().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

/// A task has a budget of operations for each poll, and tokio's timers stay pending without it.
#[tokio::test(start_paused = true)]
async fn a_request_that_uses_up_the_budget_of_its_task_is_ended() {
    let greedy = service_fn(async |()| {
        poll_fn(|cx| {
            while tokio::task::coop::poll_proceed(cx)
                .map(|coop| coop.made_progress())
                .is_ready()
            {}
            cx.waker().wake_by_ref();
            Poll::<io::Result<()>>::Pending
        })
        .await
    });
    let task = tokio::spawn(
        AdaptiveTimeoutLayer::fixed(ms(10))
            .layer(greedy)
            .oneshot(()),
    );
    for _ in 0..20 {
        advance(odd_ms(1)).await;
        tokio::task::yield_now().await;
    }
    assert!(task.is_finished());
    assert!(task.await.unwrap().unwrap_err().is::<Elapsed>());
}

#[tokio::test]
async fn the_inner_service_can_be_reached() {
    let mut service = fixed(ms(10));
    let counts = service.get_ref().counts.clone();
    service.get_mut().ready().await.unwrap();
    service.into_inner().ready().await.unwrap();
    assert_eq!(
        counts.ready_polls.load(std::sync::atomic::Ordering::SeqCst),
        2
    );
}

fn fixed(limit: Duration) -> AdaptiveTimeout<Probe> {
    AdaptiveTimeoutLayer::fixed(limit).layer(Probe::default())
}

async fn call<S: Service<Reply, Error: std::fmt::Debug>>(
    service: &mut S,
    reply: Reply,
) -> S::Future {
    service.ready().await.unwrap().call(reply)
}

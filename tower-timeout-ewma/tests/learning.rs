//! What the service learns from, and what it does not, where the limit is smoothed latency +
//! deviations. `learning_quantile.rs` has the other.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use tokio::time::{advance, timeout};
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceExt};
use tower_timeout_ewma::{AdaptiveTimeout, AdaptiveTimeoutLayer, Builder};

mod support;
use support::{Probe, Reply, ms, odd_ms, typical};

#[tokio::test(start_paused = true)]
async fn the_initial_limit_holds_until_there_are_enough_samples() {
    let layer = smoothed().initial(ms(500)).min_samples(3).build().unwrap();
    let mut service = layer.layer(Probe::default());

    for _ in 0..2 {
        answer(&mut service, ms(20)).await;
        assert_eq!(layer.limit(), ms(500));
    }
    answer(&mut service, ms(20)).await;
    assert!(layer.limit() < ms(100), "{:?}", layer.limit());
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_the_smoothed_latency_and_four_deviations() {
    let layer = smoothed().min_samples(1).build().unwrap();
    answer(&mut layer.layer(Probe::default()), ms(100)).await;

    let stats = layer.stats();
    let estimate = stats.estimate.unwrap();
    assert_close(estimate.typical(), ms(100));
    assert_close(estimate.limit(), ms(300));
    assert_eq!(stats.limit, estimate.limit());
}

#[tokio::test(start_paused = true)]
async fn clones_and_services_of_one_layer_learn_together() {
    let layer = smoothed().build().unwrap();
    let mut first = layer.layer(Probe::default());
    let mut second = layer.clone().layer(Probe::default());
    let third = first.clone();
    for _ in 0..5 {
        answer(&mut first, ms(20)).await;
        answer(&mut second, ms(20)).await;
    }
    assert_eq!(third.stats(), layer.stats());
    assert_eq!(third.stats().samples, 10);
    assert!(third.limit() < ms(200));
}

#[tokio::test(start_paused = true)]
async fn failures_are_no_samples() {
    let (layer, mut service) = learnt(ms(20)).await;
    let before = layer.stats();
    for reply in [Reply::FailNow, Reply::FailAfter(before.limit / 2)] {
        for _ in 0..20 {
            service
                .ready()
                .await
                .unwrap()
                .call(reply)
                .await
                .unwrap_err();
        }
    }
    assert_eq!(layer.stats(), before);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_counted_and_raises_the_estimate() {
    let (layer, mut service) = learnt(ms(20)).await;
    let before = layer.stats();
    never(&mut service).await;

    let after = layer.stats();
    assert_eq!(after.timeouts, 1);
    assert_eq!(after.samples, before.samples);
    assert!(typical(&after) > typical(&before));
    assert!(after.limit > before.limit);
    assert!(
        after.limit < before.limit * 3 / 2,
        "a single one moves little"
    );
}

#[tokio::test(start_paused = true)]
async fn many_timeouts_relax_the_limit_to_the_longest_and_answers_bring_it_back() {
    let (layer, mut service) = learnt(ms(20)).await;
    let before = layer.stats();
    assert!(!before.relaxing);

    for _ in 0..20 {
        never(&mut service).await;
    }
    assert!(layer.stats().relaxing);
    assert_eq!(layer.limit(), Duration::from_secs(10));

    for _ in 0..64 {
        answer(&mut service, ms(20)).await;
    }
    assert!(!layer.stats().relaxing);
    assert!(
        layer.limit() < before.limit * 2,
        "{:?} {before:?}",
        layer.limit()
    );
}

#[tokio::test(start_paused = true)]
async fn a_hundred_requests_in_flight_that_time_out_together_are_one_piece_of_evidence() {
    let (layer, mut service) = learnt(ms(20)).await;
    let before = layer.stats();
    let mut responses = Vec::new();
    for _ in 0..100 {
        let response = service.ready().await.unwrap().call(Reply::Never);
        responses.push(tokio::spawn(response));
    }
    for response in responses {
        response.await.unwrap().unwrap_err();
    }
    let after = layer.stats();
    assert_eq!(after.timeouts, 100);
    assert!(after.limit >= before.limit * 2, "{after:?}");
    assert!(after.limit <= before.limit * 4, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_service_slower_than_the_initial_limit_is_learnt() {
    let layer = smoothed().initial(ms(100)).build().unwrap();
    let mut service = layer.layer(Probe::default());
    for _ in 0..20 {
        let reply = Reply::After(ms(700));
        let _ = service.ready().await.unwrap().call(reply).await;
    }
    assert!(layer.limit() > ms(700));
    assert!(layer.stats().timeouts <= 10);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_request_counts_only_beyond_the_estimate() {
    let (layer, service) = learnt(ms(20)).await;
    let before = layer.stats();

    let early = service.clone().oneshot(Reply::Never);
    timeout(ms(10), early).await.unwrap_err();
    assert_eq!(layer.stats(), before);

    let late = service.clone().oneshot(Reply::Never);
    timeout(before.limit - ms(5), late).await.unwrap_err();
    let after = layer.stats();
    assert!(typical(&after) > typical(&before));
    assert!(after.limit > before.limit);
    assert_eq!((after.samples, after.timeouts), (before.samples, 0));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_was_never_polled_is_not_learnt_from() {
    let (layer, mut service) = learnt(ms(20)).await;
    let before = layer.stats();
    let response = service.ready().await.unwrap().call(Reply::Never);
    advance(odd_ms(5000)).await;
    drop(response);
    assert_eq!(layer.stats(), before);
}

#[tokio::test(start_paused = true)]
async fn an_answered_response_is_learnt_from_once() {
    let (layer, mut service) = learnt(ms(20)).await;
    let mut response = task::spawn(service.ready().await.unwrap().call(Reply::Now));
    assert!(response.poll().is_ready());
    let before = layer.stats();
    advance(odd_ms(5000)).await;
    assert_pending!(response.poll());
    drop(response);
    assert_eq!(layer.stats(), before);
}

#[tokio::test(start_paused = true)]
async fn a_fixed_limit_stays_and_observes_nothing() {
    let layer = AdaptiveTimeoutLayer::fixed(ms(300));
    let mut service = layer.layer(Probe::default());
    for _ in 0..20 {
        answer(&mut service, ms(20)).await;
        never(&mut service).await;
    }
    let stats = layer.stats();
    assert_eq!(stats.limit, ms(300));
    assert_eq!((stats.samples, stats.timeouts), (0, 0));
    assert_eq!((stats.estimate, stats.relaxing), (None, false));
}

fn smoothed() -> Builder {
    AdaptiveTimeoutLayer::builder().deviations(4.0)
}

async fn learnt(latency: Duration) -> (AdaptiveTimeoutLayer, AdaptiveTimeout<Probe>) {
    let layer = smoothed().build().unwrap();
    let mut service = layer.layer(Probe::default());
    for _ in 0..50 {
        answer(&mut service, latency).await;
    }
    (layer, service)
}

async fn answer(service: &mut AdaptiveTimeout<Probe>, latency: Duration) {
    let reply = Reply::After(latency);
    service.ready().await.unwrap().call(reply).await.unwrap();
}

async fn never(service: &mut AdaptiveTimeout<Probe>) {
    let reply = Reply::Never;
    service
        .ready()
        .await
        .unwrap()
        .call(reply)
        .await
        .unwrap_err();
}

/// tokio's timers tick in milliseconds.
fn assert_close(actual: Duration, expected: Duration) {
    assert!(actual.abs_diff(expected) < ms(8), "{actual:?}");
}

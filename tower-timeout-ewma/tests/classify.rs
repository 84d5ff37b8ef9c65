//! An answer that the classifier does not take for a sample teaches nothing.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{convert::Infallible, time::Duration};

use tokio::time::sleep;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_timeout_ewma::{AdaptiveTimeoutLayer, Builder, EveryAnswer, error::Elapsed};

mod support;
use support::ms;

#[tokio::test(start_paused = true)]
async fn fast_refusals_do_not_shorten_the_limit() {
    let layer = AdaptiveTimeoutLayer::builder()
        .deviations(4.0)
        .classify(|status: &u16| *status != 503)
        .build()
        .unwrap();
    let mut service = layer.layer(service_fn(respond));
    for _ in 0..50 {
        send(&mut service, 200, ms(100)).await.unwrap();
    }
    let before = layer.stats();
    for _ in 0..100 {
        send(&mut service, 503, ms(1)).await.unwrap();
    }
    assert_eq!(layer.stats(), before);
    send(&mut service, 200, ms(100)).await.unwrap();
    assert_eq!(layer.stats().samples, before.samples + 1);
}

#[tokio::test(start_paused = true)]
async fn by_default_every_answer_is_a_sample() {
    let layer: AdaptiveTimeoutLayer = AdaptiveTimeoutLayer::new();
    let same: AdaptiveTimeoutLayer<EveryAnswer> = layer.clone();
    let mut service = layer.layer(service_fn(respond));
    for _ in 0..100 {
        send(&mut service, 503, ms(1)).await.unwrap();
    }
    assert_eq!((same.stats().samples, same.limit()), (100, ms(10)));
}

/// Such as one that is chosen by a setting, and has to have the same type.
#[tokio::test(start_paused = true)]
async fn a_fixed_limit_can_have_any_classifier() {
    let builder = || Builder::default().classify(|status: &u16| *status != 503);
    let fixed = |limit| match limit {
        Some(limit) => builder().build_fixed(limit),
        None => builder().build().unwrap(),
    };
    assert_eq!(fixed(None).limit(), ms(1000));

    let mut service = fixed(Some(ms(30))).layer(service_fn(respond));
    for _ in 0..50 {
        send(&mut service, 200, ms(1)).await.unwrap();
    }
    assert_eq!(service.clone().limit(), ms(30));
    let error = send(&mut service, 200, ms(40)).await.unwrap_err();
    assert_eq!(error.downcast_ref::<Elapsed>().unwrap().limit(), ms(30));
}

#[cfg(feature = "http")]
#[test]
fn of_http_responses_those_that_were_served_are_samples() {
    use tower_timeout_ewma::{Classify, http::ServedOnly};

    for (status, grpc_status, is_sample) in [
        (200, None, true),
        (302, None, true),
        (404, None, true),
        (428, None, true),
        (429, None, false),
        (499, None, true),
        (500, None, false),
        (503, None, false),
        (599, None, false),
        (200, Some("0"), true),
        (200, Some("5"), true),
        (200, Some("2"), false),
        (200, Some("4"), false),
        (200, Some("8"), false),
        (200, Some("13"), false),
        (200, Some("14"), false),
        (200, Some("15"), false),
        (503, Some("0"), false),
    ] {
        let mut response = http::Response::builder().status(status);
        if let Some(grpc_status) = grpc_status {
            response = response.header("grpc-status", grpc_status);
        }
        let response = response.body(()).unwrap();
        assert_eq!(ServedOnly.is_sample(&response), is_sample, "{response:?}");
    }
}

async fn respond((status, latency): (u16, Duration)) -> Result<u16, Infallible> {
    sleep(latency).await;
    Ok(status)
}

async fn send<S: Service<(u16, Duration)>>(
    service: &mut S,
    status: u16,
    latency: Duration,
) -> Result<S::Response, S::Error> {
    service.ready().await?.call((status, latency)).await
}

//! Requests with a limit of their own.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{convert::Infallible, time::Duration};

use tokio::time::{advance, sleep};
use tokio_test::{assert_pending, task};
use tower::{Layer, ServiceExt, service_fn};
use tower_timeout_ewma::{AdaptiveTimeoutLayer, RequestLimit, error::Elapsed};

mod support;
use support::{ms, odd_ms, typical};

type Request = (RequestLimit, Duration);

macro_rules! layer {
    () => {
        layer!(1_000)
    };
    ($min_samples:expr) => {
        AdaptiveTimeoutLayer::builder()
            .deviations(4.0)
            .initial(ms(100))
            .min_samples($min_samples)
            .limit_by(|(limit, _): &Request| *limit)
            .build()
            .unwrap()
    };
}

async fn respond((_, latency): Request) -> Result<(), Infallible> {
    sleep(latency).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn each_request_may_have_a_limit_of_its_own() {
    let layer = layer!();
    let service = layer.layer(service_fn(respond));
    for (limit, expected) in [
        (RequestLimit::Learnt, ms(100)),
        (RequestLimit::AtMost(ms(30)), ms(30)),
        (RequestLimit::AtMost(ms(300)), ms(100)),
        (RequestLimit::Fixed(ms(30)), ms(30)),
        (RequestLimit::Fixed(ms(300)), ms(300)),
    ] {
        let call = |latency| service.clone().oneshot((limit, latency));
        call(expected - ms(1)).await.unwrap();
        let error = call(ms(10_000)).await.unwrap_err();
        let elapsed = error.downcast_ref::<Elapsed>().unwrap();
        assert_eq!(elapsed.limit(), expected, "{limit:?}");
        assert!((expected..expected + ms(2)).contains(&elapsed.elapsed()));
    }

    let mut unlimited = task::spawn(service.oneshot((RequestLimit::Unlimited, Duration::MAX)));
    assert_pending!(unlimited.poll());
    advance(Duration::from_secs(3600 * 24)).await;
    assert_pending!(unlimited.poll());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_like_the_others_teaches_nothing() {
    let layer = layer!();
    let service = layer.layer(service_fn(respond));
    service
        .clone()
        .oneshot((RequestLimit::Learnt, ms(20)))
        .await
        .unwrap();
    let before = layer.stats();
    for _ in 0..100 {
        for limit in [RequestLimit::Fixed(ms(50)), RequestLimit::Unlimited] {
            service.clone().oneshot((limit, ms(1))).await.unwrap();
        }
        service
            .clone()
            .oneshot((RequestLimit::Fixed(ms(50)), ms(60)))
            .await
            .unwrap_err();
        let mut dropped = task::spawn(service.clone().oneshot((RequestLimit::Unlimited, ms(90))));
        assert_pending!(dropped.poll());
        advance(odd_ms(80)).await;
    }
    assert_eq!(layer.stats(), before);
}

/// A caller in a hurry must not make the limit longer for all.
#[tokio::test(start_paused = true)]
async fn a_shorter_limit_teaches_as_a_caller_that_gives_up_does() {
    let hurried = layer!(100);
    let given_up = layer!(100);
    for _ in 0..100 {
        assert_eq!(hurried.limit(), ms(100));
        let service = hurried.layer(service_fn(respond));
        service
            .clone()
            .oneshot((RequestLimit::AtMost(ms(50)), ms(20)))
            .await
            .unwrap();
        service
            .oneshot((RequestLimit::AtMost(ms(50)), ms(70)))
            .await
            .unwrap_err();

        let service = given_up.layer(service_fn(respond));
        service
            .clone()
            .oneshot((RequestLimit::Learnt, ms(20)))
            .await
            .unwrap();
        let mut dropped = task::spawn(service.oneshot((RequestLimit::Learnt, ms(70))));
        assert_pending!(dropped.poll());
        // A timer ends after its limit by a millisecond.
        advance(ms(51)).await;
    }
    assert_eq!(hurried.stats().timeouts, 0);
    let (hurried, given_up) = (hurried.stats(), given_up.stats());
    assert_eq!(hurried.samples, given_up.samples);
    let difference = typical(&hurried).abs_diff(typical(&given_up));
    assert!(difference <= ms(1), "{hurried:?} {given_up:?}");
}

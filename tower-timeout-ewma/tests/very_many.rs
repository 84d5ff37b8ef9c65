//! Where there are very many requests, some are measured, and all are limited and counted.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    convert::Infallible,
    future::{pending, ready},
    task::Poll,
    time::Duration,
};

use tokio::time::advance;
use tokio_test::task;
use tower::{Layer, Service, service_fn};
use tower_timeout_ewma::{AdaptiveTimeoutLayer, Builder, error::Elapsed};

mod support;
use support::ms;

#[tokio::test(start_paused = true)]
async fn some_are_measured() {
    for (builder, how) in builders() {
        let layer = builder.build().unwrap();
        let before = samples_at_100_000_a_second(&layer, WARM_UP).await;
        let samples = samples_at_100_000_a_second(&layer, 300).await - before;
        assert!((1_500..7_500).contains(&samples), "{how}: {samples}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_are_if_so_set() {
    for (builder, how) in builders() {
        let layer = builder.samples_per_second(u32::MAX).build().unwrap();
        let samples = samples_at_100_000_a_second(&layer, 100).await;
        assert_eq!(samples, 10_000, "{how}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_load_has_gone_all_are_measured_again() {
    for (builder, how) in builders() {
        let layer = builder.build().unwrap();
        let before = samples_at_100_000_a_second(&layer, WARM_UP).await;
        advance(Duration::from_secs(1)).await;
        for _ in 0..1_000 {
            answered_at_once(&layer);
            advance(ms(3)).await;
        }
        let measured = layer.stats().samples - before;
        // It takes a few to see that it has gone.
        assert!((900..=1_000).contains(&measured), "{how}: {measured}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_has_the_limit_and_is_counted_when_it_passes() {
    for (builder, how) in builders() {
        let layer = builder.min(ms(40)).build().unwrap();
        samples_at_100_000_a_second(&layer, WARM_UP).await;
        let before = layer.stats();
        assert!(before.limit < ms(60), "{how}: {before:?}");

        let mut service = layer.layer(service_fn(|()| pending::<Result<(), Infallible>>()));
        let calls = (0..100).map(|_| task::spawn(service.call(())));
        let mut calls: Vec<_> = calls.collect();
        assert!(calls.iter_mut().all(|call| call.poll().is_pending()));
        advance(ms(61)).await;
        for call in &mut calls {
            let error = call.poll().map(Result::unwrap_err);
            assert!(
                matches!(error, Poll::Ready(error) if error.is::<Elapsed>()),
                "{how}"
            );
        }
        assert_eq!(layer.stats().timeouts - before.timeouts, 100, "{how}");
    }
}

fn builders() -> [(Builder, &'static str); 2] {
    let builder = AdaptiveTimeoutLayer::builder;
    [
        (builder(), "quantile"),
        (builder().deviations(4.0), "smoothed"),
    ]
}

/// For so many milliseconds, each answered at once.
async fn samples_at_100_000_a_second(layer: &AdaptiveTimeoutLayer, millis: u32) -> u64 {
    for _ in 0..millis {
        for _ in 0..100 {
            answered_at_once(layer);
        }
        advance(ms(1)).await;
    }
    layer.stats().samples
}

fn answered_at_once(layer: &AdaptiveTimeoutLayer) {
    let mut service = layer.layer(service_fn(|()| ready(Ok::<_, Infallible>(()))));
    assert!(task::spawn(service.call(())).poll().is_ready());
}

/// Milliseconds until it is seen how many there are.
const WARM_UP: u32 = 2_000;

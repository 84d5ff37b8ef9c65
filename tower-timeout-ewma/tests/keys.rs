//! An estimator for each key.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{convert::Infallible, future::ready, thread, time::Duration};

use tokio::time::sleep;
use tokio_test::{assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_timeout_ewma::{
    AdaptiveTimeoutLayer, Builder, Estimate, EveryAnswer, PerKey, Rules, error::Elapsed,
};

mod support;
use support::ms;

type Request = (u32, Duration);
type Keyed = Builder<EveryAnswer, Rules<PerKey<fn(&Request) -> u32, u32>>>;

fn key(request: &Request) -> u32 {
    request.0
}

async fn respond((_, latency): Request) -> Result<(), Infallible> {
    sleep(latency).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn each_key_has_a_limit_of_its_own() {
    let layer = AdaptiveTimeoutLayer::builder().key(key).build().unwrap();
    let mut service = layer.layer(service_fn(respond));
    for _ in 0..50 {
        for request in [(1, ms(10)), (2, ms(200))] {
            service.ready().await.unwrap().call(request).await.unwrap();
        }
    }
    let limit = |key| layer.stats_of(&key).unwrap().limit;
    assert!(limit(1) < ms(30), "{:?}", limit(1));
    assert!((ms(200)..ms(600)).contains(&limit(2)), "{:?}", limit(2));
    assert_eq!(layer.stats_of(&1).unwrap().samples, 50);
    assert_eq!(layer.stats().samples, 100, "of all keys together");
    assert_eq!(service.stats_of(&2), layer.stats_of(&2));
    assert_eq!(layer.stats_of(&3), None);

    let mut keys = layer.stats_by_key();
    keys.sort_by_key(|(key, _)| *key);
    let known: Vec<_> = keys
        .iter()
        .map(|(key, stats)| (*key, stats.samples))
        .collect();
    assert_eq!(known, [(1, 50), (2, 50)]);

    let in_force = limit(1);
    let error = service.clone().oneshot((1, ms(100))).await.unwrap_err();
    assert_eq!(error.downcast_ref::<Elapsed>().unwrap().limit(), in_force);
    assert_eq!(layer.stats_of(&1).unwrap().timeouts, 1);
    assert_eq!(layer.stats_of(&2).unwrap().timeouts, 0);
    service.oneshot((2, ms(200))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_new_key_begins_with_what_all_have_taught() {
    let layer = AdaptiveTimeoutLayer::builder().key(key).build().unwrap();
    let mut service = layer.layer(service_fn(respond));
    assert_eq!(layer.limit(), ms(1000));
    for number in 0..100 {
        service
            .ready()
            .await
            .unwrap()
            .call((number, ms(20)))
            .await
            .unwrap();
    }
    let learnt = layer.limit();
    assert!(learnt < ms(60), "{learnt:?}");

    let error = service.oneshot((1000, ms(900))).await.unwrap_err();
    assert_eq!(error.downcast_ref::<Elapsed>().unwrap().limit(), learnt);
}

/// Not with what the layer was told at its start, which all keys together may have left behind.
#[tokio::test(start_paused = true)]
async fn a_warm_start_is_for_all_keys_together() {
    let layer = AdaptiveTimeoutLayer::builder()
        .start_from(Estimate::new(ms(10), ms(50)))
        .key(key)
        .build()
        .unwrap();
    let mut service = layer.layer(service_fn(respond));
    assert_eq!(layer.limit(), ms(50));
    for _ in 0..200 {
        let response = service.ready().await.unwrap().call((1, ms(40)));
        response.await.unwrap();
    }
    let learnt = layer.limit();
    assert_ne!(learnt, ms(50));
    let error = service.oneshot((2, ms(900))).await.unwrap_err();
    assert_eq!(error.downcast_ref::<Elapsed>().unwrap().limit(), learnt);
}

/// Whatever is said first.
#[tokio::test(start_paused = true)]
async fn keys_are_smoothed_unless_the_quantile_is_asked_for() {
    let builder = || AdaptiveTimeoutLayer::builder().min_samples(1);
    let estimate = async |builder: Keyed| {
        let layer = builder.build().unwrap();
        let service = layer.layer(service_fn(respond));
        service.oneshot((1, ms(100))).await.unwrap();
        let of_key = layer.stats_of(&1).unwrap().estimate;
        assert_eq!(of_key, layer.stats().estimate);
        of_key.unwrap()
    };
    let key = key as fn(&Request) -> u32;
    let smoothed = estimate(builder().deviations(4.0).key(key)).await;
    assert_eq!(estimate(builder().key(key)).await, smoothed);

    let quantile = estimate(builder().quantile(0.999, 1.0).key(key)).await;
    assert_eq!(
        estimate(builder().key(key).quantile(0.999, 1.0)).await,
        quantile
    );
    assert_ne!(quantile, smoothed);
}

#[tokio::test(start_paused = true)]
async fn no_more_keys_are_known_than_allowed_and_the_idlest_is_forgotten() {
    let layer = AdaptiveTimeoutLayer::builder()
        .key(key)
        .max_keys(3)
        .build()
        .unwrap();
    let mut service = layer.layer(service_fn(respond));
    for key in [1, 2, 3, 1, 4] {
        service
            .ready()
            .await
            .unwrap()
            .call((key, ms(1)))
            .await
            .unwrap();
    }
    let mut known: Vec<_> = layer
        .stats_by_key()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    known.sort_unstable();
    assert_eq!(known, [1, 3, 4]);
    assert_eq!(layer.evicted_keys(), 1);
    assert_eq!(layer.stats_of(&1).unwrap().samples, 2);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_keys_is_bounded() {
    for max_keys in [1, 2, 63, 64, 127, 128, 1000, 4096] {
        let layer = AdaptiveTimeoutLayer::builder()
            .key(key)
            .max_keys(max_keys)
            .build()
            .unwrap();
        let mut service = layer.layer(service_fn(async |_: Request| Ok::<_, Infallible>(())));
        for key in 0..20_000 {
            service
                .ready()
                .await
                .unwrap()
                .call((key, ms(0)))
                .await
                .unwrap();
        }
        assert_eq!(layer.stats_by_key().len(), max_keys);
        assert_eq!(layer.evicted_keys(), 20_000 - max_keys as u64);
    }
}

/// However they are spread over the shards.
#[test]
fn nothing_is_forgotten_before_all_is_full() {
    for max_keys in [1, 63, 64, 127, 128, 1000, 1024] {
        let layer = AdaptiveTimeoutLayer::builder()
            .key(key)
            .max_keys(max_keys)
            .build()
            .unwrap();
        for _ in 0..3 {
            for key in 0..max_keys as u32 * 9 / 10 {
                call_at_once(&layer, key);
            }
        }
        assert_eq!(layer.evicted_keys(), 0, "{max_keys}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_forgotten_while_its_request_is_under_way_is_harmless() {
    let layer = AdaptiveTimeoutLayer::builder()
        .key(key)
        .max_keys(1)
        .build()
        .unwrap();
    let service = layer.layer(service_fn(respond));
    let (first, second) = tokio::join!(
        service.clone().oneshot((1, ms(50))),
        service.oneshot((2, ms(20)))
    );
    first.unwrap();
    second.unwrap();
    assert_eq!(layer.stats_of(&1), None);
    assert_eq!(layer.stats().samples, 2);
}

#[test]
fn layers_of_one_builder_share_no_keys() {
    let builder = AdaptiveTimeoutLayer::builder().key(key);
    let (one, other) = (builder.clone().build().unwrap(), builder.build().unwrap());
    call_at_once(&one, 1);
    assert!(one.stats_of(&1).is_some());
    assert!(other.stats_of(&1).is_none());
}

#[test]
fn a_limit_that_is_fixed_needs_no_keys() {
    let layer = Builder::default().key(key).build_fixed(ms(30));
    call_at_once(&layer, 1);
    assert_eq!(layer.limit(), ms(30));
    assert!(layer.stats_by_key().is_empty());
}

#[test]
fn at_least_one_key_must_be_allowed() {
    let error = AdaptiveTimeoutLayer::builder()
        .key(key)
        .max_keys(0)
        .build()
        .unwrap_err();
    assert_eq!(error.field(), "max_keys");
    assert_eq!(error.to_string(), "`max_keys` is 0: set it to at least 1");
}

#[test]
fn threads_share_the_keys() {
    let layer = AdaptiveTimeoutLayer::builder()
        .key(key)
        .max_keys(2048)
        .samples_per_second(u32::MAX)
        .build()
        .unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for key in 0..4000 {
                    call_at_once(&layer, key % 1000);
                }
            });
        }
    });
    assert_eq!(layer.stats().samples, 16_000);
    let of_keys: u64 = layer
        .stats_by_key()
        .iter()
        .map(|(_, stats)| stats.samples)
        .sum();
    assert_eq!(of_keys, 16_000);
}

fn call_at_once<F>(layer: &AdaptiveTimeoutLayer<EveryAnswer, Rules<PerKey<F, u32>>>, key: u32)
where
    F: Fn(&Request) -> u32 + Clone,
{
    let service = layer.layer(service_fn(|_| ready(Ok::<_, Infallible>(()))));
    let mut response = task::spawn(service.oneshot((key, Duration::ZERO)));
    assert_ready_ok!(response.poll());
}

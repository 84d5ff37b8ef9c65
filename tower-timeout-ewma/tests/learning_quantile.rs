//! What the service learns from, and what it does not, where the limit is a quantile.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use tokio::time::{advance, timeout};
use tower::{Layer, Service, ServiceExt};
use tower_timeout_ewma::{AdaptiveTimeout, AdaptiveTimeoutLayer, Builder, Estimate, Stats};

mod support;
use support::{Probe, Reply, ms, odd_ms};

#[tokio::test(start_paused = true)]
async fn the_initial_limit_holds_until_there_are_enough_samples() {
    let layer = AdaptiveTimeoutLayer::builder()
        .initial(ms(500))
        .min_samples(30)
        .build()
        .unwrap();
    let mut service = layer.layer(Probe::default());
    for _ in 0..29 {
        answer(&mut service, ms(20)).await;
        assert_eq!((layer.limit(), layer.stats().estimate), (ms(500), None));
    }
    answer(&mut service, ms(20)).await;
    assert!(layer.limit() < ms(200), "{:?}", layer.limit());
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_the_quantile_times_the_factor() {
    for (quantile, factor, expected) in [(0.99, 1.0, 99), (0.9, 2.0, 180), (0.5, 4.0, 200)] {
        let layer = AdaptiveTimeoutLayer::builder()
            .quantile(quantile, factor)
            .build()
            .unwrap();
        let service = layer.layer(Probe::default());
        // A thousand a second, so that little is added for there being few.
        for latency in (0..20_000).map(|request| 1 + request % 100) {
            let request = service.clone().oneshot(Reply::After(ms(latency)));
            tokio::spawn(request);
            advance(ms(1)).await;
        }
        let expected = ms(expected).as_secs_f64();
        let limit = layer.limit().as_secs_f64();
        assert!((limit / expected - 1.0).abs() < 0.12, "{limit} {expected}");
    }
}

#[tokio::test(start_paused = true)]
async fn clones_and_services_of_one_layer_learn_together() {
    let layer = AdaptiveTimeoutLayer::new();
    let mut first = layer.layer(Probe::default());
    let mut second = layer.clone().layer(Probe::default());
    for _ in 0..5 {
        answer(&mut first, ms(20)).await;
        answer(&mut second, ms(20)).await;
    }
    assert_eq!(first.stats(), layer.stats());
    assert_eq!(first.stats().samples, 10);
    assert!(first.limit() < ms(200));
}

#[tokio::test(start_paused = true)]
async fn failures_are_no_samples() {
    let (layer, mut service) = learnt(ms(20)).await;
    let before = layer.stats();
    for reply in [Reply::FailNow, Reply::FailAfter(ms(5))] {
        for _ in 0..200 {
            let response = service.ready().await.unwrap().call(reply);
            response.await.unwrap_err();
        }
    }
    let after = layer.stats();
    assert_eq!(after.samples, before.samples);
    let typical = |stats: &Stats| stats.estimate.unwrap().typical();
    assert_eq!(typical(&after), typical(&before));
    assert!(after.limit >= before.limit);
}

#[tokio::test(start_paused = true)]
async fn many_timeouts_relax_the_limit_to_the_longest_and_answers_bring_it_back() {
    let (layer, mut service) = learnt(ms(20)).await;
    let before = layer.stats();
    for _ in 0..30 {
        never(&mut service).await;
    }
    let during = layer.stats();
    assert!(during.relaxing && !before.relaxing);
    assert_eq!(
        (during.timeouts, during.limit),
        (30, Duration::from_secs(10))
    );

    for _ in 0..64 {
        answer(&mut service, ms(20)).await;
    }
    let after = layer.stats();
    assert!(!after.relaxing);
    assert!(after.limit < before.limit * 2, "{after:?} {before:?}");
}

#[tokio::test(start_paused = true)]
async fn a_service_slower_than_the_initial_limit_is_learnt() {
    let layer = AdaptiveTimeoutLayer::builder()
        .initial(ms(100))
        .build()
        .unwrap();
    let mut service = layer.layer(Probe::default());
    for _ in 0..30 {
        let response = service.ready().await.unwrap().call(Reply::After(ms(700)));
        let _ = response.await;
    }
    assert!(layer.limit() > ms(700));
    assert!(layer.stats().timeouts <= 12, "{:?}", layer.stats());
}

/// Twenty requests in flight for far longer than any took say so before the first of them ends.
#[tokio::test(start_paused = true)]
async fn the_ages_of_requests_in_flight_tell_of_a_slower_service() {
    let layer = AdaptiveTimeoutLayer::builder()
        .initial(Duration::from_secs(5))
        .min(Duration::from_secs(1))
        .build()
        .unwrap();
    let service = layer.layer(Probe::default());
    let send = |latency| tokio::spawn(service.clone().oneshot(Reply::After(latency)));
    for request in 0..400 {
        send(ms(60 + request % 40));
        advance(odd_ms(5)).await;
    }
    let before = layer.stats();
    for request in 0..60 {
        // A few are answered: it is no outage.
        send(if request % 5 == 0 { ms(100) } else { ms(900) });
        advance(odd_ms(5)).await;
    }
    let after = layer.stats();
    assert_eq!(after.timeouts, 0);
    let typical = |stats: &Stats| stats.estimate.unwrap().typical();
    assert!(
        typical(&after) > typical(&before) * 13 / 10,
        "{before:?} {after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_request_counts_only_beyond_the_median() {
    let (layer, service) = learnt(ms(20)).await;
    let before = layer.stats();
    let early = service.clone().oneshot(Reply::Never);
    timeout(ms(5), early).await.unwrap_err();
    let late = service.clone().oneshot(Reply::Never);
    timeout(before.limit - ms(5), late).await.unwrap_err();
    // Many that are cancelled late are like a slow service.
    for _ in 0..20 {
        let late = service.clone().oneshot(Reply::Never);
        timeout(before.limit - ms(5), late).await.unwrap_err();
    }
    let after = layer.stats();
    assert!(after.limit > before.limit, "{before:?} {after:?}");
    assert_eq!((after.samples, after.timeouts), (before.samples, 0));
}

#[tokio::test(start_paused = true)]
async fn a_warm_start_has_the_limit_of_before_at_once_and_forgets_it() {
    let quantile: fn(Builder) -> Builder = |builder| builder;
    let smoothed: fn(Builder) -> Builder = |builder| builder.deviations(4.0);
    for rule in [quantile, smoothed] {
        let (first, _) = learnt_by(rule(AdaptiveTimeoutLayer::builder()), ms(20)).await;
        let stored = first.stats().estimate.unwrap();
        let stored = Estimate::new(stored.typical(), stored.limit());
        let builder = rule(AdaptiveTimeoutLayer::builder()).start_from(stored);
        let second = builder.build().unwrap();
        let (limit, before) = (second.limit(), first.stats().estimate.unwrap().limit());
        assert!(limit.abs_diff(before) < ms(1), "{limit:?} {before:?}");
        assert_eq!(second.stats().samples, 0);

        let mut service = second.layer(Probe::default());
        for _ in 0..300 {
            answer(&mut service, ms(200)).await;
            let _ = service
                .ready()
                .await
                .unwrap()
                .call(Reply::After(ms(200)))
                .await;
        }
        assert!(second.limit() > ms(200), "{:?}", second.stats());
    }
}

async fn learnt(latency: Duration) -> (AdaptiveTimeoutLayer, AdaptiveTimeout<Probe>) {
    learnt_by(AdaptiveTimeoutLayer::builder(), latency).await
}

async fn learnt_by(
    builder: Builder,
    latency: Duration,
) -> (AdaptiveTimeoutLayer, AdaptiveTimeout<Probe>) {
    let layer = builder.build().unwrap();
    let mut service = layer.layer(Probe::default());
    for _ in 0..50 {
        answer(&mut service, latency).await;
    }
    (layer, service)
}

async fn answer(service: &mut AdaptiveTimeout<Probe>, latency: Duration) {
    let reply = Reply::After(latency);
    let _ = service.ready().await.unwrap().call(reply).await;
}

async fn never(service: &mut AdaptiveTimeout<Probe>) {
    let response = service.ready().await.unwrap().call(Reply::Never);
    response.await.unwrap_err();
}

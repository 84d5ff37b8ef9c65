//! What a layer may be set to, and what it shows.

use std::time::Duration;

use tower::Layer;
use tower_retry_budget::hedge::{HedgeLayer, HedgeStats};

#[path = "support/backend.rs"]
mod backend;

use backend::{Backend, ByText, MS, builder, layer, learnt, tokens};

type Builder = tower_retry_budget::hedge::Builder<ByText>;

fn refused(set: impl FnOnce(Builder) -> Builder) -> String {
    let refusal = set(builder(&tokens(1))).build().expect_err("out of range");
    refusal.to_string()
}

fn accepted(set: impl FnOnce(Builder) -> Builder) {
    let _ = set(builder(&tokens(1))).build().expect("in range");
}

#[tokio::test(start_paused = true)]
async fn bad_settings_are_errors_and_good_ones_are_not() {
    for quantile in [0.49, 1.0, f64::NAN, -1.0, f64::INFINITY] {
        let text = refused(|builder| builder.quantile(quantile));
        assert!(
            text.contains("`quantile`") && text.contains("0.5 to 0.9999"),
            "{text}"
        );
    }
    for min_samples in [0, 1_000_001] {
        assert!(refused(|builder| builder.min_samples(min_samples)).contains("`min_samples`"));
    }
    for window in [
        Duration::ZERO,
        999 * MS,
        Duration::from_secs(3601),
        Duration::MAX,
    ] {
        assert!(refused(|builder| builder.window(window)).contains("`window`"));
    }
    let too_long = Duration::from_secs(61);
    assert!(refused(|builder| builder.min_delay(too_long)).contains("`min_delay`"));
    accepted(|builder| builder.quantile(0.5).min_samples(1).window(1000 * MS));
    accepted(|builder| builder.quantile(0.9999).window(Duration::from_secs(3600)));
    accepted(|builder| builder.min_samples(1_000_000).min_delay(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn the_delay_is_not_below_its_least() {
    let backend = Backend::default();
    let builder = builder(&tokens(1)).min_delay(70 * MS);
    let layer = builder.build().expect("valid");
    let mut service = layer.layer(backend.instance());
    for _ in 0..200 {
        backend::send(&mut service).await.expect("answered");
    }
    assert_eq!(layer.stats().delay, Some(70 * MS));
}

#[tokio::test(start_paused = true)]
async fn services_and_clones_of_a_layer_share_what_is_learnt() {
    let backend = Backend::default();
    let layer: HedgeLayer<ByText> = layer(&tokens(1));
    let service = learnt(&layer, &backend).await;
    let other = layer.clone().layer(backend.instance());
    assert_eq!(other.stats(), service.clone().stats());
    assert_eq!(other.stats().requests, 200);
    let text = format!("{layer:?} {service:?}");
    assert!(
        text.contains("quantile: 0.95") && text.contains("requests: 200"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn layers_add_up() {
    let backend = Backend::default();
    let layer = layer(&tokens(1));
    let _ = learnt(&layer, &backend).await;
    let one = layer.stats();
    assert_eq!((one + one).requests, 400);
    assert_eq!((one + HedgeStats::default()).delay, one.delay);
}

//! A bad setting is an error that names the field, its value and what is allowed.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use tower_timeout_ewma::{AdaptiveTimeoutLayer, Builder, error::InvalidSetting};

mod support;
use support::ms;

#[test]
fn the_defaults_are_valid_and_as_documented() {
    let layer = Builder::default().build().unwrap();
    assert_eq!(layer.limit(), AdaptiveTimeoutLayer::new().limit());
    assert_eq!(layer.limit(), Duration::from_secs(1));

    for (initial, allowed) in [(9, false), (10, true), (10_000, true), (10_001, false)] {
        assert_eq!(builder().initial(ms(initial)).build().is_ok(), allowed);
    }
}

#[test]
fn bad_settings_are_refused_by_name() {
    refused(
        builder().min(Duration::ZERO),
        "min",
        "0ns",
        "more than zero",
    );
    refused(builder().max(ms(9)), "max", "9ms", "at least `min`");
    refused(
        builder().max(ms(500)),
        "initial",
        "1s",
        "a duration from `min` to `max`",
    );
    refused(
        builder().initial(ms(1)),
        "initial",
        "1ms",
        "a duration from `min` to `max`",
    );
    for (value, text) in [
        (0.0, "0.0"),
        (-1.0, "-1.0"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
        (1000.5, "1000.5"),
    ] {
        let allowed = "more than 0 and at most 1000";
        refused(builder().deviations(value), "deviations", text, allowed);
    }
    refused(builder().min_samples(0), "min_samples", "0", "at least 1");
    let second = Duration::from_secs(1);
    for (value, text) in [(second - ms(1), "999ms"), (86_401 * second, "86401s")] {
        refused(builder().window(value), "window", text, "1 s to a day");
    }
    for (value, text) in [(0.49, "0.49"), (0.99995, "0.99995"), (f64::NAN, "NaN")] {
        refused(
            builder().quantile(value, 1.0),
            "quantile",
            text,
            "0.5 to 0.9999",
        );
    }
    for (value, text) in [(0.09, "0.09"), (100.5, "100.5"), (f64::NAN, "NaN")] {
        refused(
            builder().quantile(0.99, value),
            "factor",
            text,
            "0.1 to 100",
        );
    }
    for (value, text) in [(-0.1, "-0.1"), (0.95, "0.95"), (f64::NAN, "NaN")] {
        refused(
            builder().tolerated_timeouts(value),
            "tolerated_timeouts",
            text,
            "0 to 0.9",
        );
    }
    let few = builder().samples_per_second(99);
    refused(few, "samples_per_second", "99", "at least 100");
}

#[test]
fn the_extremes_are_allowed() {
    let layer = builder()
        .min(Duration::from_nanos(1))
        .max(Duration::MAX)
        .deviations(1000.0)
        .min_samples(u32::MAX)
        .samples_per_second(u32::MAX)
        .build()
        .unwrap();
    assert_eq!(layer.limit(), Duration::from_secs(1));
}

#[track_caller]
fn refused(builder: Builder, field: &str, value: &str, allowed: &str) {
    let error: InvalidSetting = builder.build().unwrap_err();
    assert_eq!(
        (error.field(), error.value(), error.allowed()),
        (field, value, allowed)
    );
    let (_, _): (&'static str, &'static str) = (error.field(), error.allowed());
    assert_eq!(error, error.clone());
    let text = format!("`{field}` is {value}: set it to {allowed}");
    assert_eq!(error.to_string(), text);
}

fn builder() -> Builder {
    AdaptiveTimeoutLayer::builder()
}

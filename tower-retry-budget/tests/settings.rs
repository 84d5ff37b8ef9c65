//! A bad setting is an error that names the field, its value and the range.

use std::time::Duration;

use tower_retry_budget::{Backoff, Budget, Jitter, Kind, RetryLayer, error::InvalidSetting};

#[test]
fn bad_budgets_are_errors() {
    for ratio in [-0.1, 1e-7, 10.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = Budget::builder().ratio(ratio).build().unwrap_err();
        assert_eq!(error.field(), "ratio");
        assert_eq!(error.value(), ratio.to_string());
    }
    for rate in [-1.0, 1e-7, 10_000.1, f64::NAN, f64::INFINITY] {
        let error = Budget::builder().min_per_second(rate).build().unwrap_err();
        assert_eq!(error.field(), "min_per_second");
    }
    let error = Budget::builder().burst(0).build().unwrap_err();
    assert_eq!(error.field(), "burst");
    let error = Budget::builder().clients(0).build().unwrap_err();
    assert_eq!(error.field(), "clients");
    for window in [Duration::from_millis(9), Duration::from_secs(3_601)] {
        let error = Budget::builder().window(window).build().unwrap_err();
        assert_eq!(error.field(), "window");
        assert_eq!(error.allowed(), "10 ms to 1 hour");
    }
    for reserve in [0, 21] {
        let builder = Budget::builder().burst(20).reserve(reserve);
        let error = builder.build().unwrap_err();
        assert_eq!(
            (error.field(), error.allowed()),
            ("reserve", "1 to `burst`")
        );
    }
}

/// It could never be paid.
#[test]
fn a_price_above_the_burst_is_refused_at_build() {
    let builder = || Budget::builder().reserve(2).burst(5);
    for price in [5.001, 0.0, 1e-7, -1.0, f64::NAN, f64::INFINITY] {
        let error = builder().price(Kind::Throttled, price).build().unwrap_err();
        assert_eq!(error.field(), "price.throttled");
        assert_eq!(error.allowed(), "0.000001 to `burst`");
    }
    let builder = builder().price(Kind::Throttled, 5.0);
    let prices = builder.build().unwrap().stats().kinds;
    assert_eq!((prices.throttled.price, prices.timeout.price), (5.0, 5.0));
}

#[test]
fn bad_layers_are_errors() {
    for attempts in [0, 101, u32::MAX] {
        let builder = RetryLayer::builder(Budget::new()).attempts(attempts);
        assert_eq!(builder.build().unwrap_err().field(), "attempts");
    }
    for resends in [101, u32::MAX] {
        let builder = RetryLayer::builder(Budget::new()).resends(resends);
        let error = builder.build().unwrap_err();
        assert_eq!((error.field(), error.allowed()), ("resends", "0 to 100"));
    }
    let above = Duration::from_nanos(86_400_000_000_001);
    for timeout in [above, Duration::MAX] {
        let builder = RetryLayer::builder(Budget::new()).ready_timeout(timeout);
        let error = builder.build().unwrap_err();
        assert_eq!(error.field(), "ready_timeout");
        assert_eq!(error.value(), format!("{timeout:?}"));
        assert_eq!(error.allowed(), "0 to 24 hours");
    }
}

#[test]
fn bad_backoffs_are_errors() {
    let second = Duration::from_secs(1);
    let error = Backoff::new(2 * second, second).unwrap_err();
    assert_eq!(error.field(), "backoff.base");
    let error = Backoff::new(second, Duration::MAX).unwrap_err();
    assert_eq!(error.field(), "backoff.max");
    for factor in [0, 101, u32::MAX] {
        let error = Backoff::default().factor(factor).unwrap_err();
        assert_eq!(
            (error.field(), error.allowed()),
            ("backoff.factor", "1 to 100")
        );
    }
}

#[test]
fn a_jitter_with_nothing_to_draw_from_is_an_error_in_either_order() {
    let second = Duration::from_secs(1);
    let field = |bad: Result<Backoff, InvalidSetting>| bad.unwrap_err().field();
    let constant = Backoff::new(second, second).unwrap();
    assert_eq!(
        field(constant.jitter(Jitter::Decorrelated)),
        "backoff.jitter"
    );
    let once = Backoff::default().factor(1).unwrap();
    assert_eq!(field(once.jitter(Jitter::Decorrelated)), "backoff.jitter");
    let decorrelated = Backoff::default().jitter(Jitter::Decorrelated).unwrap();
    assert_eq!(field(decorrelated.factor(1)), "backoff.jitter");
    let at_once = Backoff::new(Duration::ZERO, second).unwrap();
    assert!(at_once.jitter(Jitter::Decorrelated).is_ok());
}

#[test]
fn the_ends_of_each_range_are_allowed() {
    for (ratio, rate, burst) in [(0.0, 0.0, 1), (1e-6, 1e-6, 1), (10.0, 10_000.0, u32::MAX)] {
        let builder = Budget::builder().ratio(ratio).min_per_second(rate);
        builder.burst(burst).build().unwrap();
    }
    for attempts in [1, 100] {
        let builder = RetryLayer::builder(Budget::new()).attempts(attempts);
        assert!(builder.build().is_ok());
    }
    for resends in [0, 100] {
        let builder = RetryLayer::builder(Budget::new()).resends(resends);
        let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
        let expected = format!("resends: {resends}");
        assert_eq!(shown.matches(&expected).count(), 2, "{shown}");
    }
    for timeout in [Duration::ZERO, Duration::from_secs(86_400)] {
        let builder = RetryLayer::builder(Budget::new()).ready_timeout(timeout);
        assert!(builder.build().is_ok());
    }
    Backoff::new(Duration::ZERO, Duration::ZERO).unwrap();
    Backoff::new(Duration::from_nanos(1), Duration::from_secs(86_400)).unwrap();
}

#[test]
fn the_text_names_field_value_and_range() {
    let error: InvalidSetting = Budget::builder().ratio(11.0).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the retry setting `ratio` is 11: use 0, or 0.000001 to 10"
    );
    assert_eq!(error.allowed(), "0, or 0.000001 to 10");
    assert_eq!(error, error.clone());
    assert_ne!(error, Budget::builder().ratio(12.0).build().unwrap_err());
    let error: Box<dyn std::error::Error + Send + Sync> = error.into();
    assert!(error.downcast_ref::<InvalidSetting>().is_some());
}

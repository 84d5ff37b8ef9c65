//! What `stats` tells, and what settings are refused.

mod support;

use std::time::Duration;

use futures::stream;
use support::{Answer, Item, Probe, Readiness, balance, endpoint, settle};
use tokio::time::sleep;
use tower::ServiceExt as _;
use tower_balance_p2c::{
    Balance, BalanceLayer, Ejection, Outcome, SlowStart, Weight, error::InvalidSetting,
};

#[tokio::test(start_paused = true)]
async fn stats_before_and_after_the_driver() {
    let (balance, driver) = Balance::<_, _, ()>::new(stream::iter([Probe::ready(1).insert()]));
    let stats = balance.stats();
    assert!(!stats.driver_running && stats.endpoints.is_empty());
    let driver = tokio::spawn(driver);
    settle().await;
    let stats = balance.stats();
    assert!(stats.driver_running);
    assert_eq!((stats.endpoints.len(), stats.ready), (1, 1));
    assert_eq!((stats.picks, stats.repicks, stats.waits), (0, 0, 0));
    driver.abort();
    settle().await;
    assert!(!balance.stats().driver_running);
    assert_eq!(balance.stats().endpoints.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn stats_count_each_thing_once() {
    let probe = Probe::ready(1).answering(Answer::Ok(Duration::from_millis(40)));
    let (balance, _discovery) = balance(BalanceLayer::new(), &[&probe]).await;
    for _ in 0..3 {
        balance.clone().oneshot(()).await.unwrap();
    }
    probe.control.answer(Answer::Err(Duration::from_millis(1)));
    assert!(balance.clone().oneshot(()).await.is_err());
    probe.control.set(Readiness::Pending);
    let request = tokio::spawn(balance.clone().oneshot(()));
    settle().await;
    probe.control.set(Readiness::Ready);
    assert!(request.await.unwrap().is_err());

    let stats = balance.stats();
    assert_eq!((stats.picks, stats.repicks, stats.waits), (5, 1, 1));
    let seen = &stats.endpoints[0];
    assert_eq!((seen.key, seen.requests, seen.failures), (1, 5, 2));
    assert_eq!((seen.in_flight, seen.ready), (0, true));
    assert_eq!(seen.latency, Some(Duration::from_millis(40)));
    assert!((0.76..0.78).contains(&seen.success), "{}", seen.success);
    let expected = 40e6 / seen.success.powi(3);
    assert!((seen.cost / expected - 1.0).abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn cost_counts_what_is_in_flight_and_failures_are_forgotten_with_the_window() {
    let window = Duration::from_secs(1);
    let layer = BalanceLayer::builder()
        .ejection(Ejection::new().window(window))
        .build();
    let probe = Probe::ready(1).answering(Answer::Err(Duration::ZERO));
    let (balance, _discovery) = balance(layer.unwrap(), &[&probe]).await;
    let idle = endpoint(&balance, 1).cost;
    assert!(idle > 0.0);
    assert!(balance.clone().oneshot(()).await.is_err());
    let failed = endpoint(&balance, 1);
    assert!((failed.cost / idle - (8.0f64 / 7.0).powi(3)).abs() < 1e-9);
    assert_eq!(failed.success, 7.0 / 8.0);
    sleep(window - Duration::from_millis(3)).await;
    assert_eq!(endpoint(&balance, 1).success, 7.0 / 8.0);
    sleep(Duration::from_millis(5)).await;
    assert_eq!(endpoint(&balance, 1).success, 1.0);

    probe.control.answer(Answer::Never);
    let before = endpoint(&balance, 1).cost;
    let _request = tokio::spawn(balance.clone().oneshot(()));
    settle().await;
    assert!((endpoint(&balance, 1).cost / before - 2.0).abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn a_closure_classifies() {
    let layer = BalanceLayer::builder().classify(|result: Result<&u32, &support::Refused>| {
        // The other way round.
        match result {
            Ok(_) => Outcome::Failure,
            Err(_) => Outcome::Success,
        }
    });
    let probe = Probe::ready(1);
    let (balance, driver) = layer.build().unwrap().pair(stream::iter([probe.insert()]));
    tokio::spawn(driver);
    assert!(balance.clone().oneshot(()).await.is_ok());
    probe.control.answer(Answer::Err(Duration::from_millis(9)));
    assert!(balance.clone().oneshot(()).await.is_err());
    let seen = &balance.stats().endpoints[0];
    assert_eq!((seen.requests, seen.failures), (2, 1));
    assert_eq!(seen.latency, Some(Duration::from_millis(9)));
}

#[tokio::test(start_paused = true)]
async fn a_neutral_outcome_says_nothing_of_the_endpoint() {
    let layer =
        BalanceLayer::builder().classify(|_: Result<&u32, &support::Refused>| Outcome::Neutral);
    let probe = Probe::ready(1).answering(Answer::Err(Duration::from_millis(9)));
    let (balance, driver) = layer.build().unwrap().pair(stream::iter([probe.insert()]));
    tokio::spawn(driver);
    assert!(balance.clone().oneshot(()).await.is_err());
    let seen = &balance.stats().endpoints[0];
    assert_eq!((seen.in_flight, seen.requests, seen.failures), (0, 0, 0));
    assert_eq!((seen.latency, seen.success), (None, 1.0));
}

#[test]
fn bad_settings_are_named_with_their_value_and_range() {
    let refused = |error: InvalidSetting| -> (&'static str, String) {
        let allowed: &'static str = error.allowed();
        assert_eq!(error.clone(), error);
        let text = error.to_string();
        assert!(text.contains(error.field()));
        assert!(text.contains(error.value()));
        assert!(text.contains(allowed));
        (error.field(), error.value().to_owned())
    };
    let builder = BalanceLayer::<()>::builder;
    let choices = builder().choices(0).build().unwrap_err();
    assert_eq!(refused(choices), ("choices", "0".into()));
    let decay = builder().decay(Duration::ZERO).build().unwrap_err();
    assert_eq!(refused(decay), ("decay", "0ns".into()));
    let decay = builder().decay(Duration::MAX).build().unwrap_err();
    assert_eq!(refused(decay).0, "decay");

    let (off, long) = (Duration::ZERO, Duration::MAX);
    let ejections = [
        ("consecutive", Ejection::new().consecutive(0)),
        ("consecutive", Ejection::new().consecutive(65)),
        ("ratio", Ejection::new().ratio(-0.1)),
        ("ratio", Ejection::new().ratio(f64::NAN)),
        ("window", Ejection::new().window(off)),
        ("window", Ejection::new().window(long)),
        ("min_requests", Ejection::new().min_requests(0)),
        ("base", Ejection::new().base(off)),
        ("max", Ejection::new().max(Duration::from_millis(999))),
        ("requests_per_probe", Ejection::new().requests_per_probe(0)),
        ("max_ejected", Ejection::new().max_ejected(1.1)),
        ("panic", Ejection::new().panic(f64::INFINITY)),
    ];
    for (field, ejection) in ejections {
        let error = builder().ejection(ejection).build().unwrap_err();
        assert_eq!(refused(error).0, format!("ejection.{field}"));
    }
    let starts = [
        ("window", SlowStart::new().window(long)),
        ("aggression", SlowStart::new().aggression(0.0)),
        ("aggression", SlowStart::new().aggression(f64::NAN)),
        ("floor", SlowStart::new().floor(0.0)),
        ("floor", SlowStart::new().floor(1.5)),
    ];
    for (field, start) in starts {
        let error = builder().slow_start(start).build().unwrap_err();
        assert_eq!(refused(error).0, format!("slow_start.{field}"));
    }
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY, 1000.1] {
        assert_eq!(refused(Weight::new(weight).unwrap_err()).0, "weight");
    }
}

#[tokio::test(start_paused = true)]
async fn extreme_settings_work() {
    for decay in [Duration::from_millis(1), Duration::from_secs(86_400)] {
        for choices in [1, usize::MAX] {
            for wait in [Duration::ZERO, Duration::MAX] {
                let builder = BalanceLayer::builder().decay(decay).choices(choices);
                let layer = builder.wait(wait).build().unwrap();
                let (balance, _discovery) = balance(layer, &[&Probe::ready(1)]).await;
                for _ in 0..10 {
                    sleep(Duration::from_micros(1003)).await;
                    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
                }
            }
        }
    }
}

#[test]
fn everything_can_be_debugged() {
    let (balance, driver) = Balance::<_, _, ()>::new(stream::empty::<Item>());
    let request = tower_service::Service::call(&mut balance.clone(), ());
    let layer = BalanceLayer::<()>::builder();
    let text = format!(
        "{balance:?} {driver:?} {request:?} {layer:?} {:?}",
        balance.stats()
    );
    for word in [
        "Balance",
        "Driver",
        "searching",
        "Builder",
        "driver_running: false",
    ] {
        assert!(text.contains(word), "{text}");
    }
}

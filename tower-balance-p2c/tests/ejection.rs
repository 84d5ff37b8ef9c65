//! Whose failures keep requests away, and whose do not.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::time::Duration;

use futures::stream;
use support::{
    Answer, Probe, Refused, balance, settle,
    traffic::{
        BADLY, BASE, WELL, answering_well, at_once, at_once_with, eject, is_ejected, seeded, seen,
    },
};
use tokio::time::sleep;
use tower::ServiceExt as _;
use tower_balance_p2c::{BalanceLayer, Ejection, Health, Outcome};

async fn failures_that_eject(answer: Answer) -> u64 {
    let probes = answering_well::<4>();
    let (balance, _discovery) = balance(seeded(1, Ejection::new()), &probes.each_ref()).await;
    at_once(&balance, 16).await;
    probes[0].control.answer(answer);
    for _ in 0..20 {
        at_once(&balance, 8).await;
        if is_ejected(&balance, 1) {
            break;
        }
    }
    let seen = seen(&balance, 1);
    assert_eq!((seen.ejections, seen.in_flight), (1, 0));
    let calls = probes[0].control.calls();
    assert_eq!(at_once(&balance, 40).await, 0);
    assert_eq!(probes[0].control.calls(), calls);
    seen.failures
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_keep_requests_away_however_late_they_come() {
    // Those that were under way together fail together.
    for answer in [BADLY, Answer::Err(Duration::from_millis(2003))] {
        let failures = failures_that_eject(answer).await;
        assert!((3..=5).contains(&failures), "{failures} by {answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_classified_as_a_failure_is_one_like_an_error() {
    let layer = BalanceLayer::builder()
        .seed(2)
        .classify(|result: Result<&u32, &Refused>| match result {
            Ok(1) | Err(_) => Outcome::Failure,
            Ok(_) => Outcome::Success,
        });
    let probes = answering_well::<4>();
    let inserts = probes.each_ref().map(Probe::insert);
    let (balance, driver) = layer.build().unwrap().pair(stream::iter(inserts));
    tokio::spawn(driver);
    settle().await;
    for _ in 0..4 {
        assert_eq!(at_once(&balance, 16).await, 0);
    }
    assert_eq!(seen(&balance, 1).failures, seen(&balance, 1).requests);
    assert!(is_ejected(&balance, 1));
    // An answer that comes at last is one of the same kind as an error.
    eject(&balance, &probes[1]).await;
    assert_eq!(balance.stats().ejected, 2);
}

#[tokio::test(start_paused = true)]
async fn a_failure_now_and_then_does_not_eject() {
    let probes = answering_well::<4>();
    let (balance, _discovery) = balance(seeded(3, Ejection::new()), &probes.each_ref()).await;
    let control = &probes[0].control;
    for _ in 0..100 {
        at_once_with(&balance, 16, || {
            control.answer(if control.calls() % 20 == 19 {
                BADLY
            } else {
                WELL
            });
        })
        .await;
    }
    let seen = seen(&balance, 1);
    assert!(seen.failures > 5, "{seen:?}");
    assert_eq!(seen.ejections, 0);
}

#[tokio::test(start_paused = true)]
async fn half_of_the_requests_failing_ejects() {
    let probes = answering_well::<4>();
    let (balance, _discovery) = balance(seeded(4, Ejection::new()), &probes.each_ref()).await;
    let control = &probes[0].control;
    for _ in 0..100 {
        at_once_with(&balance, 16, || {
            control.answer(if control.calls() % 2 == 1 {
                BADLY
            } else {
                WELL
            });
        })
        .await;
        if is_ejected(&balance, 1) {
            break;
        }
    }
    let seen = seen(&balance, 1);
    assert_eq!(seen.ejections, 1);
    assert!(seen.requests <= 40, "{seen:?}");
}

/// The first endpoint fails three of ten requests.
async fn ejections_where_others_fail(each: Option<usize>) -> u64 {
    let probes = answering_well::<4>();
    let (balance, _discovery) = balance(seeded(5, Ejection::new()), &probes.each_ref()).await;
    for _ in 0..200 {
        sleep(Duration::from_millis(53)).await;
        at_once_with(&balance, 12, || {
            let calls = probes.each_ref().map(|probe| probe.control.calls());
            let fails = matches!(calls[0] % 10, 0 | 3 | 6);
            probes[0].control.answer(if fails { BADLY } else { WELL });
            for (probe, calls) in probes.iter().zip(calls).skip(1) {
                let fails = each.is_some_and(|each| calls % each == 4);
                probe.control.answer(if fails { BADLY } else { WELL });
            }
        })
        .await;
    }
    let endpoints = balance.stats().endpoints;
    assert!(endpoints.iter().all(|endpoint| endpoint.requests > 32));
    endpoints.iter().map(|endpoint| endpoint.ejections).sum()
}

#[tokio::test(start_paused = true)]
async fn failing_is_judged_by_how_much_the_others_fail() {
    assert!(ejections_where_others_fail(None).await >= 1);
    assert_eq!(ejections_where_others_fail(Some(5)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_allowed_are_ejected() {
    for (share, most) in [(0.0, 0), (0.25, 1), (0.5, 2), (0.74, 2), (1.0, 4)] {
        let ejection = Ejection::new().max_ejected(share).panic(0.0);
        let probes = answering_well::<4>();
        let (balance, _discovery) = balance(seeded(6, ejection), &probes.each_ref()).await;
        // One after the other, for where all fail nobody is worse than the others.
        for probe in &probes {
            probe.control.answer(BADLY);
            for _ in 0..3 {
                at_once(&balance, 16).await;
            }
        }
        assert!(balance.stats().ejected <= most, "{share}");
        if share < 1.0 {
            assert_eq!(balance.stats().ejected, most, "{share}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_endpoint_is_never_ejected_and_ejection_can_be_off() {
    let probe = Probe::ready(1).answering(BADLY);
    let (single, _discovery) = balance(seeded(7, Ejection::new()), &[&probe]).await;
    assert_eq!(at_once(&single, 300).await, 300);
    assert_eq!(seen(&single, 1).health, Health::Admitted);
    assert_eq!(probe.control.calls(), 300);

    let probes = answering_well::<4>();
    let (off, _discovery) = balance(seeded(7, Ejection::off()), &probes.each_ref()).await;
    probes[0].control.answer(BADLY);
    for _ in 0..20 {
        at_once(&off, 60).await;
    }
    assert!(probes[0].control.calls() > 5);
    assert_eq!((off.stats().ejected, seen(&off, 1).ejections), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_second_ejection_is_longer() {
    let probes = answering_well::<4>();
    let ejection = Ejection::new().requests_per_probe(u32::MAX);
    let (balance, _discovery) = balance(seeded(8, ejection), &probes.each_ref()).await;
    eject(&balance, &probes[0]).await;
    let mut base = Duration::from_secs(1);
    for ejections in 1..5 {
        let seen = seen(&balance, 1);
        let Health::Ejected { remaining } = seen.health else {
            panic!("{seen:?}");
        };
        assert_eq!(seen.ejections, ejections);
        // Some of it is over when the requests have ended that were under way with the failures.
        assert!(remaining <= base && remaining >= base.mul_f64(0.8) - Duration::from_millis(20));
        sleep(base + Duration::from_millis(3)).await;
        assert!(balance.clone().oneshot(()).await.is_err());
        base *= 2;
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_to_be_left_alone_is_up_to_the_cap() {
    for (asked, granted) in [(7, 7), (9_999, 30)] {
        let layer = BalanceLayer::builder().seed(9);
        let layer = layer.classify(move |result: Result<&u32, &Refused>| match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Pushback(Duration::from_secs(asked)),
        });
        let probes = answering_well::<4>();
        let inserts = probes.each_ref().map(Probe::insert);
        let (balance, driver) = layer.build().unwrap().pair(stream::iter(inserts));
        tokio::spawn(driver);
        settle().await;
        probes[0].control.answer(BADLY);
        while probes[0].control.calls() == 0 {
            let _ = balance.clone().oneshot(()).await;
        }
        let granted = Duration::from_secs(granted);
        let remaining = granted;
        assert_eq!(seen(&balance, 1).health, Health::Ejected { remaining });
        sleep(granted - Duration::from_millis(1)).await;
        assert!(balance.clone().oneshot(()).await.is_ok());
        sleep(Duration::from_millis(1)).await;
        assert!(balance.clone().oneshot(()).await.is_err());
        assert_eq!(balance.stats().probes, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_cap_on_pushback_it_is_a_failure_like_any_other() {
    let layer = BalanceLayer::builder()
        .seed(10)
        .ejection(Ejection::new().max_pushback(Duration::ZERO))
        .classify(|result: Result<&u32, &Refused>| match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Pushback(Duration::from_secs(7)),
        });
    let probes = answering_well::<4>();
    let inserts = probes.each_ref().map(Probe::insert);
    let (balance, driver) = layer.build().unwrap().pair(stream::iter(inserts));
    tokio::spawn(driver);
    settle().await;
    eject(&balance, &probes[0]).await;
    assert!(seen(&balance, 1).failures >= 3);
    sleep(BASE).await;
    assert!(balance.clone().oneshot(()).await.is_err());
    assert_eq!(balance.stats().probes, 1);
}

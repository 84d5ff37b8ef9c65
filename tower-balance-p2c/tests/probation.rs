//! The way back from an ejection, and what happens where too few endpoints are left for one.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::time::Duration;

use support::{
    Answer, Item, Key, Pool, Probe, Readiness, Refused, balance, discovery, settle,
    traffic::{BADLY, BASE, WELL, answering_well, at_once, eject, is_ejected, seeded, seen},
};
use tokio::{
    sync::mpsc::UnboundedSender,
    time::{Instant, sleep, timeout},
};
use tokio_test::{assert_pending, task};
use tower::ServiceExt as _;
use tower_balance_p2c::{
    BalanceLayer, Ejection, Health, Steer,
    error::{NoEndpoint, Reason},
};
use tower_service::Service as _;

/// Sends so many at once, and returns how many of them the endpoint has at a time.
async fn at_a_time(balance: &Pool, key: Key, requests: usize) -> usize {
    let mut under_way: Vec<_> = (0..requests)
        .map(|_| task::spawn(balance.clone().oneshot(())))
        .collect();
    for request in &mut under_way {
        assert_pending!(request.poll());
    }
    let in_flight = seen(balance, key).in_flight;
    for request in under_way {
        let _ = request.await;
    }
    in_flight
}

#[tokio::test(start_paused = true)]
async fn on_probation_an_endpoint_has_one_request_at_a_time_then_two_and_so_on() {
    let probes = answering_well::<4>();
    let (balance, _discovery) = balance(seeded(1, Ejection::new()), &probes.each_ref()).await;
    eject(&balance, &probes[0]).await;
    probes[0].control.answer(WELL);
    sleep(BASE).await;
    assert_eq!(at_a_time(&balance, 1, 1).await, 1);
    let mut seen_at_a_time = Vec::new();
    for most in [1, 2, 4, 8, 16] {
        let health = Health::Probation {
            at_a_time: most as u32,
        };
        let calls = probes[0].control.calls();
        let mut greatest = 0;
        while seen(&balance, 1).health == health {
            greatest = greatest.max(at_a_time(&balance, 1, 100).await);
        }
        assert!(greatest <= most, "{greatest} instead of {most}");
        assert!(probes[0].control.calls() - calls < 2 * most);
        seen_at_a_time.push(greatest);
    }
    // Beyond that others may be the better choice.
    assert_eq!(seen_at_a_time[..3], [1, 2, 4]);
    assert!(seen_at_a_time[4] > 4, "{seen_at_a_time:?}");
    assert_eq!(seen(&balance, 1).health, Health::Admitted);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_fails_again_on_probation_is_ejected_again() {
    let probes = answering_well::<4>();
    let (balance, _discovery) = balance(seeded(2, Ejection::new()), &probes.each_ref()).await;
    eject(&balance, &probes[0]).await;
    probes[0].control.answer(WELL);
    sleep(BASE).await;
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
    probes[0].control.answer(BADLY);
    let calls = probes[0].control.calls();
    for _ in 0..20 {
        at_once(&balance, 16).await;
    }
    assert!(is_ejected(&balance, 1));
    assert_eq!(seen(&balance, 1).ejections, 2);
    let lost = probes[0].control.calls() - calls;
    assert!((1..=3).contains(&lost), "{lost}");
}

#[tokio::test(start_paused = true)]
async fn where_the_others_are_down_requests_take_turns_at_one_on_probation() {
    let probes = answering_well::<2>();
    let (balance, _discovery) = balance(seeded(11, Ejection::new()), &probes.each_ref()).await;
    eject(&balance, &probes[0]).await;
    probes[0].control.answer(WELL);
    sleep(BASE).await;
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
    probes[1].control.set(Readiness::Pending);
    let begun = Instant::now();
    assert_eq!(at_once(&balance, 10).await, 0);
    let took = Instant::now() - begun;
    assert!(took < Duration::from_millis(203), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn where_too_few_are_left_all_are_used_again() {
    let probes = answering_well::<4>();
    let (balance, _discovery) = balance(seeded(3, Ejection::new()), &probes.each_ref()).await;
    eject(&balance, &probes[0]).await;
    eject(&balance, &probes[1]).await;
    assert!(!balance.stats().panicking);
    probes[2].control.set(Readiness::Pending);
    // The first of these finds out.
    at_once(&balance, 40).await;
    sleep(Duration::from_millis(103)).await;
    let calls = probes[0].control.calls() + probes[1].control.calls();
    let failures = at_once(&balance, 40).await;
    assert!(balance.stats().panicking);
    assert!(failures >= 10, "{failures}");
    assert_eq!(
        probes[0].control.calls() + probes[1].control.calls(),
        calls + failures
    );
    probes[2].control.set(Readiness::Ready);
    settle().await;
    sleep(Duration::from_millis(103)).await;
    balance.clone().oneshot(()).await.unwrap();
    assert!(!balance.stats().panicking);
    assert_eq!(at_once(&balance, 40).await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_panic_sends_to_an_ejected_endpoint_is_no_probe() {
    let probes = answering_well::<4>();
    let (mut balance, _discovery) = balance(seeded(10, Ejection::new()), &probes.each_ref()).await;
    eject(&balance, &probes[0]).await;
    probes[1].control.set(Readiness::Pending);
    probes[2].control.set(Readiness::Pending);
    at_once(&balance, 40).await;
    sleep(BASE).await;
    probes[0].control.answer(Answer::Never);
    let mut probe = task::spawn(balance.call(()));
    assert_pending!(probe.poll());
    for (answer, failures) in [(WELL, false), (BADLY, true)] {
        probes[0].control.answer(answer);
        let calls = probes[0].control.calls();
        assert_eq!(at_once(&balance, 40).await > 0, failures);
        assert!(balance.stats().panicking);
        assert!(probes[0].control.calls() > calls);
        let seen = seen(&balance, 1);
        assert_eq!((seen.health, seen.ejections), (Health::Probing, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_panic_is_over_when_nobody_is_ejected() {
    let probes = answering_well::<4>();
    let (balance, _discovery) = balance(seeded(4, Ejection::new()), &probes.each_ref()).await;
    eject(&balance, &probes[0]).await;
    probes[0].control.answer(WELL);
    probes[1].control.set(Readiness::Pending);
    probes[2].control.set(Readiness::Pending);
    at_once(&balance, 40).await;
    sleep(Duration::from_millis(103)).await;
    at_once(&balance, 4).await;
    assert!(balance.stats().panicking);
    sleep(BASE).await;
    for _ in 0..10 {
        at_once(&balance, 10).await;
    }
    assert_eq!(balance.stats().ejected, 0);
    probes[1].control.set(Readiness::Ready);
    probes[2].control.set(Readiness::Ready);
    sleep(Duration::from_millis(503)).await;
    at_once(&balance, 10).await;
    assert!(!balance.stats().panicking);
}

#[derive(Clone)]
struct Avoiding(Key);

impl Steer<Key, (), Key> for Avoiding {
    fn avoids(&self, (): &(), endpoint: &Key) -> bool {
        *endpoint == self.0
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_panic_requests_still_avoid_what_they_are_to_avoid() {
    let probes = answering_well::<4>();
    let (sender, stream) = discovery();
    for probe in &probes {
        sender.send(probe.insert()).unwrap();
    }
    let builder = BalanceLayer::builder().seed(5).steer(Avoiding(4));
    let (balance, driver) = builder.build().unwrap().pair(stream);
    tokio::spawn(driver);
    settle().await;
    eject(&balance, &probes[0]).await;
    eject(&balance, &probes[1]).await;
    probes[2].control.set(Readiness::Pending);
    at_once(&balance, 10).await;
    sleep(Duration::from_millis(103)).await;
    at_once(&balance, 10).await;
    assert!(balance.stats().panicking);
    let calls = probes[3].control.calls();
    at_once(&balance, 10).await;
    assert_eq!(probes[3].control.calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn without_a_panic_requests_wait_for_a_probe_and_then_end() {
    let ejection = Ejection::new().panic(0.0).base(Duration::from_secs(20));
    let probes = answering_well::<2>();
    let (mut balance, _discovery) = balance(seeded(6, ejection), &probes.each_ref()).await;
    eject(&balance, &probes[0]).await;
    probes[1].control.set(Readiness::Pending);
    let error = balance.call(()).await.unwrap_err();
    let error = error.downcast_ref::<NoEndpoint>().unwrap();
    assert_eq!(error.reason(), Reason::Ejected);
    assert_eq!(
        (error.endpoints(), error.ready(), error.ejected()),
        (2, 1, 1)
    );
    let text = error.to_string();
    for part in ["none of 2 endpoints", "1 are ready", "1 are ejected", "1s"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// One that waits must not be forgotten when the probe is due and no other request comes.
#[tokio::test(start_paused = true)]
async fn a_request_that_waits_is_the_probe_as_soon_as_it_is_due() {
    for wait in [Duration::from_secs(10), Duration::MAX] {
        let ejection = Ejection::new().panic(0.0);
        let probes = answering_well::<2>();
        let builder = BalanceLayer::builder().seed(7).ejection(ejection);
        let layer = builder.wait(wait).build().unwrap();
        let (balance, _discovery) = balance(layer, &probes.each_ref()).await;
        eject(&balance, &probes[0]).await;
        probes[0].control.answer(WELL);
        probes[1].control.set(Readiness::Pending);
        let begun = Instant::now();
        let request = timeout(Duration::from_secs(30), balance.clone().oneshot(()));
        assert_eq!(request.await.expect("it waits for ever").unwrap(), 1);
        let waited = Instant::now() - begun;
        assert!(waited < 2 * BASE, "{waited:?} of {wait:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_driver_failures_still_keep_requests_away_and_probes_bring_them_back() {
    let probes = answering_well::<4>();
    let (sender, stream) = discovery();
    for probe in &probes {
        sender.send(probe.insert()).unwrap();
    }
    let (balance, driver) = seeded(8, Ejection::new()).pair(stream);
    let driver = tokio::spawn(driver);
    settle().await;
    at_once(&balance, 16).await;
    driver.abort();
    settle().await;
    eject(&balance, &probes[0]).await;
    let calls = probes[0].control.calls();
    assert_eq!(at_once(&balance, 40).await, 0);
    assert_eq!(probes[0].control.calls(), calls);
    sleep(BASE).await;
    probes[0].control.answer(WELL);
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
    for _ in 0..10 {
        at_once(&balance, 100).await;
    }
    assert_eq!(seen(&balance, 1).health, Health::Admitted);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_finds_its_endpoint_refusing_goes_elsewhere() {
    let probes = answering_well::<4>();
    let (balance, _discovery) = balance(seeded(9, Ejection::new()), &probes.each_ref()).await;
    eject(&balance, &probes[0]).await;
    sleep(BASE).await;
    probes[0].control.set(Readiness::Failed);
    assert_ne!(balance.clone().oneshot(()).await.unwrap(), 1);
    assert!(is_ejected(&balance, 1));
    probes[0].control.set(Readiness::Ready);
    probes[0].control.answer(Answer::Err(Duration::ZERO));
    sleep(Duration::from_millis(503)).await;
    let error = balance.clone().oneshot(()).await.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Refused(1)));
    assert_eq!(seen(&balance, 1).ejections, 2);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_woken_when_probation_ends() {
    let probes = answering_well::<2>();
    let layer = BalanceLayer::builder().seed(4).wait(Duration::MAX);
    let (balance, _discovery) = balance(layer.build().unwrap(), &probes.each_ref()).await;
    eject(&balance, &probes[0]).await;
    probes[0].control.answer(WELL);
    sleep(BASE).await;
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
    probes[1].control.set(Readiness::Pending);
    let requests: Vec<_> = (0..100)
        .map(|request| {
            // Not all of them in the same moment.
            let latency = Duration::from_micros(10_003 + 1_201 * (request % 11));
            probes[0].control.answer(Answer::Ok(latency));
            tokio::spawn(balance.clone().oneshot(()))
        })
        .collect();
    let all = futures::future::join_all(requests);
    let all = timeout(Duration::from_secs(2), all).await;
    assert!(all.is_ok_and(|all| all.iter().all(Result::is_ok)));
}

/// One that is on probation has one request that hangs, and the other one cannot be used any more.
async fn hangs_when_left_alone(leaves: impl FnOnce(&Probe, &UnboundedSender<Item>)) {
    let probes = answering_well::<2>();
    let (balance, discovery) = balance(seeded(11, Ejection::new()), &probes.each_ref()).await;
    eject(&balance, &probes[0]).await;
    probes[0].control.answer(WELL);
    sleep(BASE).await;
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
    leaves(&probes[1], &discovery);
    settle().await;
    probes[0].control.answer(Answer::Never);
    let mut hangs = task::spawn(balance.clone().oneshot(()));
    assert_pending!(hangs.poll());
    probes[0].control.answer(WELL);
    let begun = Instant::now();
    while balance.clone().oneshot(()).await.is_err() {
        let shut_out = begun.elapsed();
        assert!(shut_out < Duration::from_secs(3), "for {shut_out:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_does_not_shut_out_all_where_the_others_are_down() {
    hangs_when_left_alone(|other, _| other.control.set(Readiness::Pending)).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_does_not_shut_out_all_where_the_others_are_gone() {
    hangs_when_left_alone(|other, discovery| discovery.send(other.remove()).unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_takes_a_place_no_longer_than_the_window() {
    let probes = answering_well::<4>();
    let (balance, _discovery) = balance(seeded(11, Ejection::new()), &probes.each_ref()).await;
    eject(&balance, &probes[0]).await;
    probes[0].control.answer(WELL);
    sleep(BASE).await;
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
    probes[0].control.answer(Answer::Never);
    let mut hangs = task::spawn(balance.clone().oneshot(()));
    while seen(&balance, 1).in_flight == 0 {
        hangs = task::spawn(balance.clone().oneshot(()));
        assert_pending!(hangs.poll());
    }
    probes[0].control.answer(WELL);
    let calls = probes[0].control.calls();
    sleep(Duration::from_secs(9)).await;
    at_once(&balance, 100).await;
    assert_eq!(probes[0].control.calls(), calls, "its place is taken");
    sleep(Duration::from_secs(2)).await;
    while probes[0].control.calls() == calls {
        at_once(&balance, 100).await;
    }
}

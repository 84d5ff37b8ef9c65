//! Zones, where something in the near one takes its time. How much goes where is in `shares`.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::time::Duration;

use support::{Answer, Probe, discovery, settle};
use tokio::time::sleep;
use tokio_test::{assert_pending, task};
use tower::ServiceExt as _;
use tower_balance_p2c::{Attributes, BalanceLayer, Change, Ejection};

#[tokio::test(start_paused = true)]
async fn one_long_poll_does_not_empty_the_near_zone() {
    let latency = Answer::Ok(Duration::from_micros(10_003));
    let probes = [1, 2].map(|key| Probe::ready(key).answering(latency));
    let (sender, stream) = discovery();
    for (probe, zone) in probes.iter().zip(["near", "far"]) {
        let attributes = Attributes::new().zone(zone);
        let change = Change::InsertWith(probe.control.key, probe.clone(), attributes);
        sender.send(Ok(change)).unwrap();
    }
    let layer = BalanceLayer::<()>::builder().seed(1).zone("near").build();
    let (balance, driver) = layer.unwrap().pair(stream);
    tokio::spawn(driver);
    settle().await;
    for _ in 0..50 {
        assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
    }

    probes[0].control.answer(Answer::Never);
    let mut poll = task::spawn(balance.clone().oneshot(()));
    assert_pending!(poll.poll());
    probes[0].control.answer(latency);
    let before = probes[0].control.calls();
    for _ in 0..36_000 {
        balance.clone().oneshot(()).await.unwrap();
        sleep(Duration::from_millis(7)).await;
    }
    let near = probes[0].control.calls() - before;
    assert!(near > 18_000, "{near} of 36000");
}

/// Of the far one nothing is known: it must not be taken for as slow as the near one has become.
#[tokio::test(start_paused = true)]
async fn a_near_zone_that_turns_slow_spills_to_a_far_one_that_was_never_tried() {
    let latency = |millis: u64| Answer::Ok(Duration::from_micros(millis * 1000 + 3));
    let probes = [1, 2].map(|key| Probe::ready(key).answering(latency(10)));
    let (sender, stream) = discovery();
    for (probe, zone) in probes.iter().zip(["near", "far"]) {
        let attributes = Attributes::new().zone(zone);
        let change = Change::InsertWith(probe.control.key, probe.clone(), attributes);
        sender.send(Ok(change)).unwrap();
    }
    let layer = BalanceLayer::<()>::builder().seed(1).zone("near").build();
    let (balance, driver) = layer.unwrap().pair(stream);
    tokio::spawn(driver);
    settle().await;
    for _ in 0..100 {
        balance.clone().oneshot(()).await.unwrap();
    }
    assert_eq!(probes[1].control.calls(), 0);
    probes[0].control.answer(latency(200));
    for _ in 0..100 {
        balance.clone().oneshot(()).await.unwrap();
    }
    let far = probes[1].control.calls();
    assert!(far > 50, "{far} of 100");
}

/// So many endpoints of each zone, of which the near ones begin to fail, and may not all be ejected.
/// Returns how many of 5,000 requests fail.
async fn failures_of_near(near: u32, far: u32, ejection: Ejection) -> usize {
    let latency = Answer::Ok(Duration::from_micros(3_001));
    let probes: Vec<_> = (1..=near + far)
        .map(|key| Probe::ready(key).answering(latency))
        .collect();
    let (sender, stream) = discovery();
    for probe in &probes {
        let key = probe.control.key;
        let attributes = Attributes::new().zone(if key <= near { "near" } else { "far" });
        let change = Change::InsertWith(key, probe.clone(), attributes);
        sender.send(Ok(change)).unwrap();
    }
    let builder = BalanceLayer::<()>::builder().seed(1).zone("near");
    let (balance, driver) = builder.ejection(ejection).build().unwrap().pair(stream);
    tokio::spawn(driver);
    settle().await;
    for _ in 0..200 {
        assert!(balance.clone().oneshot(()).await.unwrap() <= near);
    }
    for probe in &probes[..near as usize] {
        probe
            .control
            .answer(Answer::Err(Duration::from_micros(503)));
    }
    let mut failures = 0;
    for _ in 0..5_000 {
        failures += usize::from(balance.clone().oneshot(()).await.is_err());
        sleep(Duration::from_millis(2)).await;
    }
    failures
}

#[tokio::test(start_paused = true)]
async fn near_ones_that_fail_are_left_for_far_ones_that_do_not() {
    for (near, far) in [(2, 1), (4, 2), (1, 3)] {
        for ejection in [Ejection::new(), Ejection::off()] {
            let failures = failures_of_near(near, far, ejection).await;
            assert!(
                failures < 50,
                "{near} near and {far} far: {failures} of 5000"
            );
        }
    }
}

//! Zones, where something in the near one takes its time. How much goes where is in `shares`.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::time::Duration;

use support::{Answer, Probe, discovery, settle};
use tokio::time::sleep;
use tokio_test::{assert_pending, task};
use tower::ServiceExt as _;
use tower_balance_p2c::{Attributes, BalanceLayer, Change};

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

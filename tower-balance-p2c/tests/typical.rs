//! What is taken to be typical, and which differences from it count.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::time::Duration;

use support::{Answer, Probe, balance, discovery, settle, waiting};
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;
use tower_balance_p2c::{Attributes, BalanceLayer, Change, Weight};

/// Those that were not tried yet would look as bad as one that hangs.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_has_never_answered_is_not_typical() {
    let probe = Probe::ready(1).answering(Answer::Never);
    let (balance, _discovery) = balance(waiting(Duration::ZERO), &[&probe]).await;
    for _ in 0..3 {
        let request = balance.clone().oneshot(());
        timeout(Duration::from_millis(1003), request)
            .await
            .unwrap_err();
        sleep(Duration::from_millis(103)).await;
    }
    let stats = balance.stats();
    assert!(stats.endpoints[0].latency_per_place > Duration::from_millis(900));
    assert_eq!(stats.typical_latency, Duration::from_millis(10));
}

/// Where weights differ, a latency of half as much again would be as good.
#[tokio::test(start_paused = true)]
async fn where_weights_are_given_and_equal_every_difference_in_latency_counts() {
    let probes = [(1, 10_003), (2, 13_003)].map(|(key, micros)| {
        Probe::ready(key).answering(Answer::Ok(Duration::from_micros(micros)))
    });
    let (sender, stream) = discovery();
    for probe in &probes {
        let attributes = Attributes::new().weight(Weight::new(3.0).unwrap());
        let change = Change::InsertWith(probe.control.key, probe.clone(), attributes);
        sender.send(Ok(change)).unwrap();
    }
    let layer = BalanceLayer::<()>::builder().seed(1).build();
    let (balance, driver) = layer.unwrap().pair(stream);
    tokio::spawn(driver);
    settle().await;
    for _ in 0..200 {
        balance.clone().oneshot(()).await.unwrap();
    }
    let quicker = probes[0].control.calls();
    assert!(quicker > 160, "{quicker} of 200");
}

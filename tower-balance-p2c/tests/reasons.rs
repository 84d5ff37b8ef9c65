//! Why there was no endpoint, as the error tells it.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{error::Error as _, time::Duration};

use support::{
    Pool, Probe, Readiness, Refused, balance, endpoint, settle,
    traffic::{BADLY, BASE, WELL, answering_well, eject},
};
use tokio::time::{sleep, timeout};
use tokio_test::{assert_ready, task};
use tower::ServiceExt as _;
use tower_balance_p2c::{
    BalanceLayer, Ejection,
    error::{NoEndpoint, Reason},
};
use tower_service::Service as _;

fn layer(wait: Duration) -> BalanceLayer<()> {
    let ejection = Ejection::new().panic(0.0).base(Duration::from_secs(3600));
    let ejection = ejection.max(Duration::from_secs(3600)).max_ejected(1.0);
    let builder = BalanceLayer::builder()
        .seed(1)
        .ejection(ejection)
        .wait(wait);
    builder.build().unwrap()
}

async fn refused(balance: &Pool) -> Box<NoEndpoint> {
    let error = balance.clone().oneshot(()).await.unwrap_err();
    error.downcast().unwrap()
}

fn says(error: &NoEndpoint, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` in `{text}`");
    }
}

#[tokio::test(start_paused = true)]
async fn without_endpoints_it_is_empty_whatever_there_was() {
    let probe = Probe::ready(1);
    let (balance, discovery) = balance(layer(Duration::from_millis(703)), &[&probe]).await;
    assert!(balance.clone().oneshot(()).await.is_ok());
    discovery.send(probe.remove()).unwrap();
    settle().await;
    let error = refused(&balance).await;
    assert_eq!(error.reason(), Reason::Empty);
    assert_eq!(
        (error.endpoints(), error.ready(), error.ejected()),
        (0, 0, 0)
    );
    says(&error, &["no endpoint", "703ms", "discovery"]);
}

#[tokio::test(start_paused = true)]
async fn with_endpoints_that_are_down_it_is_not_ready() {
    let probes = [Readiness::Pending, Readiness::Failed, Readiness::Permits(0)];
    let probes = [1, 2, 3].map(|key| Probe::new(key, probes[key as usize - 1]));
    let layer = layer(Duration::from_millis(703));
    let (balance, _discovery) = balance(layer, &probes.each_ref()).await;
    let error = refused(&balance).await;
    assert_eq!(error.reason(), Reason::NotReady);
    assert_eq!(
        (error.endpoints(), error.ready(), error.ejected()),
        (3, 0, 0)
    );
    says(&error, &["none of 3 endpoints", "703ms"]);
}

#[tokio::test(start_paused = true)]
async fn with_endpoints_that_are_ready_and_ejected_it_is_ejected() {
    let probes = answering_well::<4>();
    let (balance, _discovery) = balance(layer(Duration::from_secs(1)), &probes.each_ref()).await;
    eject(&balance, &probes[0]).await;
    eject(&balance, &probes[1]).await;
    probes[2].control.set(Readiness::Failed);
    probes[3].control.set(Readiness::Pending);
    let error = refused(&balance).await;
    assert_eq!(error.reason(), Reason::Ejected);
    assert_eq!(
        (error.endpoints(), error.ready(), error.ejected()),
        (4, 2, 2)
    );
    says(
        &error,
        &["none of 4 endpoints", "2 are ready", "2 are ejected", "1s"],
    );
    let source = error.source().unwrap();
    assert_eq!(source.downcast_ref(), Some(&Refused(3)));
    let calls = probes[0].control.calls() + probes[1].control.calls();
    let _ = refused(&balance).await;
    assert_eq!(probes[0].control.calls() + probes[1].control.calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn an_ejected_endpoint_that_is_down_is_not_ready() {
    let probes = answering_well::<2>();
    let (balance, _discovery) = balance(layer(Duration::ZERO), &probes.each_ref()).await;
    eject(&balance, &probes[0]).await;
    probes[1].control.set(Readiness::Pending);
    let error = refused(&balance).await;
    assert_eq!(
        (error.reason(), error.waited()),
        (Reason::Ejected, Duration::ZERO)
    );
    // The new service of the key is not ready.
    probes[0].control.set(Readiness::Pending);
    let new = Probe::new(1, Readiness::Pending);
    _discovery.send(new.insert()).unwrap();
    settle().await;
    assert!(!endpoint(&balance, 1).ready);
    let error = refused(&balance).await;
    assert_eq!(error.reason(), Reason::NotReady);
    assert_eq!(
        (error.endpoints(), error.ready(), error.ejected()),
        (2, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn zero_does_not_wait_for_who_is_ejected_either() {
    let probes = answering_well::<2>();
    let (mut balance, _discovery) = balance(layer(Duration::ZERO), &probes.each_ref()).await;
    eject(&balance, &probes[0]).await;
    probes[1].control.set(Readiness::Pending);
    for _ in 0..3 {
        let error = assert_ready!(task::spawn(balance.call(())).poll()).unwrap_err();
        let error = error.downcast_ref::<NoEndpoint>().unwrap();
        assert_eq!(error.reason(), Reason::Ejected);
    }
    assert_eq!(balance.stats().waits, 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_ever_is_woken_when_another_endpoint_is_ready_or_one_comes() {
    let probes = answering_well::<2>();
    let (balance, discovery) = balance(layer(Duration::MAX), &probes.each_ref()).await;
    for is_new in [false, true] {
        probes[0].control.answer(BADLY);
        if !is_new {
            eject(&balance, &probes[0]).await;
        }
        probes[1].control.set(Readiness::Pending);
        let waiting = tokio::spawn(balance.clone().oneshot(()));
        sleep(60 * BASE).await;
        assert!(!waiting.is_finished());
        let expected = if is_new {
            discovery
                .send(Probe::ready(3).answering(WELL).insert())
                .unwrap();
            3
        } else {
            probes[1].control.set(Readiness::Ready);
            2
        };
        let woken = timeout(BASE, waiting).await.unwrap();
        assert_eq!(woken.unwrap().unwrap(), expected);
    }
}

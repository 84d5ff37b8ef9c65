//! What becomes of others when a request hangs, is given up, or has to look elsewhere.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use support::{
    Answer, Readiness, balance, endpoint, settle,
    traffic::{BASE, WELL, answering_well, at_once, eject, is_ejected, seeded},
};
use tokio::time::{sleep, timeout};
use tokio_test::{assert_pending, task};
use tower::ServiceExt as _;
use tower_balance_p2c::{Ejection, Health};

/// A poll that waits for news while others are answered keeps nobody out.
#[tokio::test(start_paused = true)]
async fn a_long_poll_on_probation_keeps_nobody_out_once_another_was_answered() {
    let probes = answering_well::<2>();
    let (balance, _discovery) = balance(seeded(1, Ejection::new()), &probes.each_ref()).await;
    at_once(&balance, 20).await;
    // One that is answered when the endpoint is on probation.
    probes[1].control.set(Readiness::Pending);
    probes[0]
        .control
        .answer(Answer::Ok(Duration::from_millis(4007)));
    let mut straggler = task::spawn(balance.clone().oneshot(()));
    assert_pending!(straggler.poll());
    probes[1].control.set(Readiness::Ready);
    settle().await;
    eject(&balance, &probes[0]).await;
    probes[0].control.answer(WELL);
    sleep(BASE).await;
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
    let one = Health::Probation { at_a_time: 1 };
    assert_eq!(endpoint(&balance, 1).health, one);

    probes[1].control.set(Readiness::Pending);
    probes[0].control.answer(Answer::Never);
    let mut poll = task::spawn(balance.clone().oneshot(()));
    assert_pending!(poll.poll());
    assert_eq!(endpoint(&balance, 1).in_flight, 2);
    straggler.await.unwrap();
    assert_eq!(endpoint(&balance, 1).health, one);
    assert_eq!(endpoint(&balance, 1).in_flight, 1);
    probes[0].control.answer(WELL);
    let request = timeout(Duration::from_millis(53), balance.clone().oneshot(()));
    assert_eq!(request.await.unwrap().unwrap(), 1);
}

/// Such a probe costs its client its patience: the next one is not to be sent at once.
#[tokio::test(start_paused = true)]
async fn after_a_probe_that_hung_the_endpoint_is_left_alone_for_as_long_again() {
    let probes = answering_well::<2>();
    let (balance, _discovery) = balance(seeded(1, Ejection::new()), &probes.each_ref()).await;
    at_once(&balance, 20).await;
    eject(&balance, &probes[0]).await;
    probes[0].control.answer(Answer::Never);
    sleep(BASE).await;
    let probe = timeout(Duration::from_millis(503), balance.clone().oneshot(()));
    probe.await.unwrap_err();
    let Health::Ejected { remaining } = endpoint(&balance, 1).health else {
        panic!("{:?}", endpoint(&balance, 1).health);
    };
    assert!(remaining >= Duration::from_millis(790), "{remaining:?}");
    let calls = probes[0].control.calls();
    at_once(&balance, 20).await;
    assert_eq!(probes[0].control.calls(), calls);
}

/// It has waited because the endpoint was being probed, and now it is not.
#[tokio::test(start_paused = true)]
async fn who_waits_is_woken_when_a_probe_was_not_sent_after_all() {
    let probes = answering_well::<2>();
    let layer = seeded(1, Ejection::new().panic(0.0));
    let (balance, _discovery) = balance(layer, &probes.each_ref()).await;
    at_once(&balance, 20).await;
    eject(&balance, &probes[0]).await;
    probes[1].control.set(Readiness::Pending);
    let _ = timeout(Duration::from_millis(503), balance.clone().oneshot(())).await;
    sleep(BASE).await;
    assert!(is_ejected(&balance, 1) && endpoint(&balance, 1).ready);

    let waiter = Arc::new(Mutex::new(task::spawn(balance.clone().oneshot(()))));
    let waits = Arc::clone(&waiter);
    probes[0].control.set(Readiness::Pending);
    probes[0].control.when_polled(move || {
        assert_pending!(waits.lock().unwrap().poll());
        assert!(!waits.lock().unwrap().is_woken());
    });
    let mut probe = task::spawn(balance.clone().oneshot(()));
    assert_pending!(probe.poll());
    assert!(waiter.lock().unwrap().is_woken());
}

#[tokio::test(start_paused = true)]
async fn a_place_in_an_ejected_endpoints_queue_is_kept_where_ejection_is_ignored() {
    let probes = answering_well::<2>();
    let (balance, _discovery) = balance(seeded(1, Ejection::new()), &probes.each_ref()).await;
    at_once(&balance, 20).await;
    probes[1].control.set(Readiness::Pending);
    // Sooner than the set is looked over again.
    let fails = Answer::Err(Duration::from_millis(53));
    probes[0].control.answer(fails);
    let failing: Vec<_> = (0..8)
        .map(|_| tokio::spawn(balance.clone().oneshot(())))
        .collect();
    settle().await;
    assert_eq!(endpoint(&balance, 1).in_flight, 8);
    probes[0].control.set(Readiness::Pending);
    let mut request = task::spawn(balance.clone().oneshot(()));
    assert_pending!(request.poll());
    settle().await;
    // The test's, the set's, the drive's and the request's.
    assert_eq!(probes[0].control.clones(), 4);
    for request in failing {
        request.await.unwrap().unwrap_err();
    }
    assert!(is_ejected(&balance, 1) && request.is_woken());
    assert_pending!(request.poll());
    assert!(balance.stats().panicking);
    assert_eq!(probes[0].control.clones(), 4);
    probes[0].control.answer(WELL);
    probes[0].control.set(Readiness::Ready);
    assert_eq!(request.await.unwrap(), 1);
}

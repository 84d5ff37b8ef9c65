//! One real request finds out whether an ejected endpoint is well again, and only that one.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::FutureExt as _;
use support::{
    Answer, Pool, Probe, Readiness, balance, discovery, settle,
    traffic::{
        BADLY, BASE, WELL, answering_well, at_once, at_once_with, eject, is_ejected, seeded, seen,
    },
};
use tokio::{
    sync::mpsc::UnboundedSender,
    time::{sleep, timeout},
};
use tokio_test::{assert_pending, task};
use tower::ServiceExt as _;
use tower_balance_p2c::{
    BalanceLayer, Completion, Ejection, EjectionReason, Event, Health, InFlight,
};
use tower_service::Service as _;

/// Four endpoints, of which the first one is ejected, and its time has come.
async fn ejected(seed: u64) -> (Pool, UnboundedSender<support::Item>, [Probe; 4]) {
    let probes = answering_well::<4>();
    let (balance, discovery) = balance(seeded(seed, Ejection::new()), &probes.each_ref()).await;
    eject(&balance, &probes[0]).await;
    sleep(BASE).await;
    assert!(is_ejected(&balance, 1));
    (balance, discovery, probes)
}

#[tokio::test(start_paused = true)]
async fn the_next_request_is_the_probe_and_no_other_one_is() {
    let (mut balance, _discovery, probes) = ejected(1).await;
    probes[0].control.answer(WELL);
    let calls = probes[0].control.calls();
    let mut probe = task::spawn(balance.call(()));
    assert_pending!(probe.poll());
    assert_eq!(probes[0].control.calls(), calls + 1);
    assert_eq!(seen(&balance, 1).health, Health::Probing);
    assert_eq!((balance.stats().probes, balance.stats().ejected), (1, 1));
    for _ in 0..3 {
        drop(task::spawn(balance.call(())).poll());
    }
    assert_eq!(probes[0].control.calls(), calls + 1);
    assert_eq!(probe.await.unwrap(), 1);
    assert_eq!(seen(&balance, 1).health, Health::Probation { at_a_time: 1 });
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_keeps_requests_away() {
    let (balance, _discovery, probes) = ejected(2).await;
    assert!(balance.clone().oneshot(()).await.is_err());
    assert!(is_ejected(&balance, 1));
    assert_eq!(seen(&balance, 1).ejections, 2);
    let calls = probes[0].control.calls();
    assert_eq!(at_once(&balance, 30).await, 0);
    assert_eq!(probes[0].control.calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_frees_its_place_for_the_next() {
    let (mut balance, _discovery, probes) = ejected(3).await;
    probes[0].control.answer(Answer::Never);
    // Before it was polled it is nobody's.
    drop(balance.call(()));
    assert!(is_ejected(&balance, 1));
    // Soon it says nothing.
    for _ in 0..3 {
        let mut probe = task::spawn(balance.call(()));
        assert_pending!(probe.poll());
        assert_eq!(seen(&balance, 1).health, Health::Probing);
        drop(probe);
        assert!(is_ejected(&balance, 1));
        // The next one may come at once, and those after it a little later each time.
        sleep(Duration::from_millis(403)).await;
    }
    // Late it says that the endpoint hangs, which is not to be asked at once.
    let mut probe = task::spawn(balance.call(()));
    assert_pending!(probe.poll());
    sleep(Duration::from_millis(703)).await;
    drop(probe);
    probes[0].control.answer(WELL);
    // As after a probe that fails.
    sleep(BASE).await;
    assert_ne!(balance.clone().oneshot(()).await.unwrap(), 1);
    sleep(BASE).await;
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
    let health = seen(&balance, 1).health;
    assert_eq!(health, Health::Probation { at_a_time: 1 });
    assert_eq!(seen(&balance, 1).ejections, 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_the_ejection_has_no_say() {
    for straggler in [
        Answer::Ok(Duration::from_millis(2003)),
        Answer::Err(Duration::from_millis(2003)),
    ] {
        let probes = answering_well::<4>();
        let layer = seeded(4, Ejection::new());
        let (balance, _discovery) = balance(layer, &probes.each_ref()).await;
        at_once(&balance, 16).await;
        probes[0].control.answer(straggler);
        let stragglers = tokio::spawn({
            let balance = balance.clone();
            async move { at_once(&balance, 20).await }
        });
        settle().await;
        assert!(seen(&balance, 1).in_flight >= 4);
        eject(&balance, &probes[0]).await;
        sleep(BASE).await;
        probes[0].control.answer(Answer::Never);
        let mut probe = task::spawn(balance.clone().oneshot(()));
        assert_pending!(probe.poll());
        assert_eq!(seen(&balance, 1).health, Health::Probing);
        stragglers.await.unwrap();
        let seen = seen(&balance, 1);
        assert_eq!((seen.health, seen.ejections), (Health::Probing, 1));
        assert_eq!(seen.in_flight, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_probed_endpoint_frees_its_place() {
    let (balance, _discovery, probes) = ejected(5).await;
    let control = &probes[0].control;
    control.answer(WELL);
    control.when_polled(|| panic!("while asked whether it is ready"));
    let request = AssertUnwindSafe(balance.clone().oneshot(()));
    assert!(request.catch_unwind().await.is_err());
    // It is taken to be down, until the driver finds it ready.
    assert!(is_ejected(&balance, 1) && !seen(&balance, 1).ready);
    sleep(Duration::from_millis(203)).await;
    control.when_called(|| panic!("while called"));
    let request = AssertUnwindSafe(balance.clone().oneshot(()));
    assert!(request.catch_unwind().await.is_err());
    // That was a failure.
    assert!(is_ejected(&balance, 1));
    assert_eq!(seen(&balance, 1).ejections, 2);
    assert_eq!(seen(&balance, 1).in_flight, 0);
    sleep(2 * BASE).await;
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
    assert_eq!(balance.stats().ejected, 0);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_not_ready_is_probed_when_it_is() {
    let (balance, _discovery, probes) = ejected(6).await;
    let control = &probes[0].control;
    control.answer(WELL);
    control.set(Readiness::Pending);
    let calls = control.calls();
    assert_eq!(at_once(&balance, 10).await, 0);
    sleep(Duration::from_millis(5003)).await;
    assert_eq!(at_once(&balance, 10).await, 0);
    assert_eq!(control.calls(), calls);
    assert!(is_ejected(&balance, 1) && !seen(&balance, 1).ready);
    control.set(Readiness::Ready);
    sleep(Duration::from_millis(103)).await;
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
    assert_eq!(balance.stats().ejected, 0);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_removed_while_ejected_makes_room() {
    let (balance, discovery, probes) = ejected(7).await;
    eject(&balance, &probes[1]).await;
    discovery.send(probes[0].remove()).unwrap();
    discovery.send(probes[1].remove()).unwrap();
    settle().await;
    assert_eq!(balance.stats().ejected, 0);
    // Of two that are left one may be ejected.
    eject(&balance, &probes[2]).await;
    assert_eq!(balance.stats().ejected, 1);
    // Who comes again is new.
    discovery.send(probes[0].insert()).unwrap();
    settle().await;
    let seen = seen(&balance, 1);
    assert_eq!((seen.health, seen.ejections), (Health::Admitted, 0));
}

#[tokio::test(start_paused = true)]
async fn a_probe_may_outlive_its_endpoint() {
    for answer in [WELL, BADLY] {
        let (balance, discovery, probes) = ejected(8).await;
        probes[0].control.answer(answer);
        let mut probe = task::spawn(balance.clone().oneshot(()));
        assert_pending!(probe.poll());
        discovery.send(probes[0].remove()).unwrap();
        settle().await;
        let _ = probe.await;
        assert_eq!(balance.stats().ejected, 0);
        eject(&balance, &probes[1]).await;
        assert_eq!(at_once(&balance, 10).await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_outlive_their_endpoint_take_no_ones_place() {
    let probes = answering_well::<2>();
    let layer = seeded(9, Ejection::new());
    let (balance, discovery) = balance(layer, &probes.each_ref()).await;
    at_once(&balance, 8).await;
    // A rolling update: what is under way breaks off after the removal.
    probes[0]
        .control
        .answer(Answer::Err(Duration::from_millis(503)));
    let last = tokio::spawn({
        let balance = balance.clone();
        async move { at_once(&balance, 16).await }
    });
    settle().await;
    let third = Probe::ready(3).answering(WELL);
    discovery.send(probes[0].remove()).unwrap();
    discovery.send(third.insert()).unwrap();
    assert!(last.await.unwrap() >= 6);
    settle().await;
    assert_eq!(balance.stats().ejected, 0);
    eject(&balance, &probes[1]).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_inserted_again_stays_ejected() {
    let probes = answering_well::<4>();
    let layer = seeded(10, Ejection::new());
    let (balance, discovery) = balance(layer, &probes.each_ref()).await;
    eject(&balance, &probes[0]).await;
    let new = Probe::ready(1).answering(WELL);
    discovery.send(new.insert()).unwrap();
    settle().await;
    assert!(is_ejected(&balance, 1));
    assert_eq!(seen(&balance, 1).ejections, 1);
    assert_eq!(at_once(&balance, 30).await, 0);
    assert_eq!(new.control.calls(), 0);
    sleep(BASE).await;
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
    assert_eq!(new.control.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_an_endpoint_is_not_sent_to_it_once_it_is_ejected() {
    let probes = answering_well::<2>();
    let layer = seeded(12, Ejection::new().panic(0.0));
    let (mut balance, _discovery) = balance(layer, &probes.each_ref()).await;
    at_once(&balance, 8).await;
    probes[1].control.set(Readiness::Pending);
    probes[0].control.set(Readiness::Permits(3));
    probes[0].control.answer(BADLY);
    let calls = probes[0].control.calls();
    let mut first: Vec<_> = (0..3).map(|_| task::spawn(balance.call(()))).collect();
    for request in &mut first {
        assert_pending!(request.poll());
    }
    let waiting = tokio::spawn(balance.clone().oneshot(()));
    settle().await;
    for request in first {
        assert!(request.await.is_err());
    }
    settle().await;
    assert!(is_ejected(&balance, 1));
    assert_eq!(probes[0].control.calls(), calls + 3);
    probes[1].control.set(Readiness::Ready);
    assert_eq!(waiting.await.unwrap().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn failures_to_become_ready_are_no_failed_requests() {
    let probes = answering_well::<4>();
    let layer = seeded(11, Ejection::new());
    let (balance, _discovery) = balance(layer, &probes.each_ref()).await;
    at_once(&balance, 16).await;
    let control = &probes[0].control;
    control.set(Readiness::Failed);
    assert_eq!(at_once(&balance, 16).await, 0);
    sleep(Duration::from_millis(2003)).await;
    control.set(Readiness::Ready);
    sleep(Duration::from_millis(2003)).await;
    assert!(seen(&balance, 1).ready);
    let calls = control.calls();
    while control.calls() == calls {
        at_once_with(&balance, 60, || {
            control.answer(if control.calls() == calls {
                BADLY
            } else {
                WELL
            });
        })
        .await;
    }
    let seen = seen(&balance, 1);
    assert_eq!((seen.failures, seen.ejections), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_has_moved_within_the_set_is_probed() {
    let (balance, discovery, probes) = ejected(1).await;
    probes[0].control.answer(WELL);
    // The other one was the third, and is the second when its time has come.
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
    at_once(&balance, 40).await;
    eject(&balance, &probes[2]).await;
    discovery.send(probes[0].remove()).unwrap();
    settle().await;
    probes[2].control.answer(WELL);
    sleep(BASE).await;
    assert!(is_ejected(&balance, 3));
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 3);
}

/// So many of 300 endpoints are ejected, due for a probe, and down without anybody knowing yet.
async fn many_due_and_down(down: usize, wait: Duration) -> (Pool, UnboundedSender<support::Item>) {
    let probes: Vec<_> = (1..=300)
        .map(|key| Probe::ready(key).answering(WELL))
        .collect();
    let builder = BalanceLayer::builder().seed(1).wait(wait).choices(1);
    let layer = builder.build().unwrap();
    let (balance, discovery) = balance(layer, &probes.iter().collect::<Vec<_>>()).await;
    at_once(&balance, 600).await;
    for probe in &probes[..down] {
        probe.control.answer(BADLY);
    }
    for _ in 0..50 {
        at_once(&balance, 300).await;
    }
    assert!(balance.stats().ejected > down / 2);
    for probe in &probes[..down] {
        probe.control.set(Readiness::Pending);
    }
    sleep(Duration::from_secs(61)).await;
    (balance, discovery)
}

#[tokio::test(start_paused = true)]
async fn a_request_tries_one_that_is_owed_it_and_then_goes_elsewhere() {
    let (balance, _discovery) = many_due_and_down(100, Duration::from_secs(1)).await;
    let before = balance.stats();
    balance.clone().oneshot(()).await.unwrap();
    let repicks = balance.stats().repicks - before.repicks;
    assert!((1..=3).contains(&repicks), "{repicks}");
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_wait_goes_elsewhere_too() {
    let (balance, _discovery) = many_due_and_down(100, Duration::ZERO).await;
    for _ in 0..50 {
        balance.clone().oneshot(()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_probed_less_and_less_often() {
    let (balance, _discovery, probes) = ejected(1).await;
    probes[0].control.answer(Answer::Never);
    let calls = probes[0].control.calls();
    for _ in 0..6_000 {
        let _ = timeout(Duration::from_millis(503), balance.clone().oneshot(())).await;
        sleep(Duration::from_millis(97)).await;
    }
    // 1 s, 2 s, 4 s and so on up to 60 s, and half a second each time.
    let probed = probes[0].control.calls() - calls;
    assert!((8..25).contains(&probed), "{probed} in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_off_on_probation_is_a_relapse() {
    let reasons: Arc<Mutex<Vec<EjectionReason>>> = Arc::default();
    let told = Arc::clone(&reasons);
    let layer = BalanceLayer::<()>::builder()
        .seed(1)
        .completion(Kept)
        .observer(move |event: &Event<'_>| {
            if let Event::Ejected { reason, .. } = event {
                told.lock().unwrap().push(*reason);
            }
        });
    let probes = answering_well::<4>();
    let (sender, stream) = discovery();
    for probe in &probes {
        sender.send(probe.insert()).unwrap();
    }
    let (balance, driver) = layer.build().unwrap().pair(stream);
    tokio::spawn(driver);
    settle().await;
    probes[0].control.answer(BADLY);
    while reasons.lock().unwrap().is_empty() {
        at_once(&balance, 16).await;
    }
    probes[0].control.answer(WELL);
    sleep(BASE).await;
    let (key, probe) = balance.clone().oneshot(()).await.unwrap();
    assert_eq!(key, 1);
    // Its answer was good, so that it is on probation, and what follows is bad.
    probe.failed();
    for _ in 0..20 {
        let under_way: Vec<_> = (0..16)
            .map(|_| tokio::spawn(balance.clone().oneshot(())))
            .collect();
        for request in under_way {
            let (key, in_flight) = request.await.unwrap().unwrap();
            if key == 1 {
                in_flight.failed();
            }
        }
    }
    let second = reasons.lock().unwrap().get(1).copied();
    assert_eq!(second, Some(EjectionReason::Relapse));
}

/// Gives the request in flight to the caller.
#[derive(Clone, Copy)]
struct Kept;

impl Completion<support::Key> for Kept {
    type Output = (support::Key, InFlight);

    fn complete(&self, in_flight: InFlight, key: support::Key) -> Self::Output {
        (key, in_flight)
    }
}

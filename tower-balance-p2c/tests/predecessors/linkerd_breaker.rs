//! linkerd2-proxy's circuit breaker.

mod probe;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::mpsc::UnboundedSender, time::sleep};
use tokio_test::{assert_pending, task};
use tower::ServiceExt as _;
use tower_balance_p2c::{BalanceLayer, Ejection, Event, Health, error::NoEndpoint};

use crate::{
    answering, eject, find, ms, seeded, send, share,
    support::{Answer, Item, Pool, Probe, balance, settle},
};

/// Longer than the first ejection.
const OVER: Duration = Duration::from_millis(1003);

/// Two endpoints, of which the first is ejected, and due for its probe.
async fn due() -> (Pool, [Probe; 2], UnboundedSender<Item>) {
    let probes = answering([20, 20]);
    let (mut pool, discovery) = balance(seeded(), &probes.each_ref()).await;
    send(&mut pool, 10, 2).await;
    eject(&mut pool, &probes).await;
    sleep(OVER).await;
    probes[0].control.answer(Answer::Ok(ms(20)));
    (pool, probes, discovery)
}

fn health(pool: &Pool) -> Health {
    find(pool, 1).health
}

/// The next request is the probe, and readmits the endpoint.
async fn is_readmitted(pool: &Pool) {
    assert_eq!(pool.clone().oneshot(()).await.unwrap(), 1);
    assert_eq!(health(pool), Health::Probation { at_a_time: 1 });
}

#[tokio::test(start_paused = true)]
async fn what_is_well_again_gets_one_request_at_a_time_then_two_and_so_on() {
    let (mut pool, probes, _discovery) = due().await;
    // So that it is not the cost that keeps requests away.
    probes[1].control.answer(Answer::Ok(ms(503)));
    send(&mut pool, 100, 100).await;
    let mut most = Vec::new();
    for _ in 0..6 {
        let (mut at_once, before) = (pool.clone(), probes[0].control.calls());
        let requests = tokio::spawn(async move { send(&mut at_once, 100, 100).await });
        settle().await;
        most.push(probes[0].control.calls() - before);
        assert_eq!(requests.await.unwrap(), 0);
    }
    assert_eq!(most[..5], [1, 2, 4, 8, 16]);
    assert!(most[5] > 32, "{most:?}");
    assert_eq!(health(&pool), Health::Admitted);
}

#[tokio::test(start_paused = true)]
async fn so_many_are_ejected_and_no_more() {
    let probes = answering([1; 10]);
    let (mut pool, _discovery) = balance(seeded(), &probes.each_ref()).await;
    send(&mut pool, 100, 10).await;
    for probe in &probes[..8] {
        probe.control.answer(Answer::Err(ms(1)));
    }
    let mut most = 0;
    for _ in 0..500 {
        send(&mut pool, 10, 5).await;
        most = most.max(pool.stats().ejected);
    }
    assert_eq!(most, 5);

    // Where nobody works, ejecting the others would help nobody.
    for probe in &probes {
        probe.control.answer(Answer::Err(ms(1)));
    }
    send(&mut pool, 5000, 5).await;
    let before = probes.each_ref().map(|probe| probe.control.calls());
    send(&mut pool, 5000, 5).await;
    let asked = probes.iter().zip(before);
    let asked = asked.filter(|(probe, before)| probe.control.calls() > *before);
    assert!(asked.count() >= 5);
    assert!(pool.stats().ejected <= 5);
}

#[tokio::test(start_paused = true)]
async fn with_too_few_left_all_are_used() {
    let ejection = Ejection::new().max_ejected(1.0).panic(0.5);
    let builder = BalanceLayer::builder().seed(7).ejection(ejection);
    let layer = builder.wait(Duration::ZERO);
    let probes = answering([20; 4]);
    let (mut pool, _discovery) = balance(layer.build().unwrap(), &probes.each_ref()).await;
    send(&mut pool, 40, 4).await;
    for probe in &probes {
        probe.control.answer(Answer::Err(ms(1)));
    }
    // All at once, before it can be seen that they all fail.
    send(&mut pool, 40, 40).await;
    assert_eq!(pool.stats().ejected, 4);
    for probe in &probes[..3] {
        probe.control.answer(Answer::Ok(ms(20)));
    }
    let failed = send(&mut pool, 100, 4).await;
    assert!(failed < 20, "{failed}");
    assert!(probes[..3].iter().all(|probe| probe.control.calls() > 30));
}

#[tokio::test(start_paused = true)]
async fn the_last_endpoint_is_never_ejected() {
    for count in [1, 2, 3] {
        let probes: Vec<_> = (0..count).map(Probe::ready).collect();
        for probe in &probes {
            probe.control.answer(Answer::Err(ms(1)));
        }
        let borrowed: Vec<_> = probes.iter().collect();
        let (pool, _discovery) = balance(seeded(), &borrowed).await;
        for _ in 0..300 {
            let error = pool.clone().oneshot(()).await.unwrap_err();
            assert!(!error.is::<NoEndpoint>(), "{error}");
        }
        assert!(pool.stats().ejected < count as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn every_outcome_of_many_at_once_is_counted() {
    let probes = answering([20, 20]);
    let (mut pool, _discovery) = balance(seeded(), &probes.each_ref()).await;
    probes[1].control.answer(Answer::Err(ms(20)));
    let failed = send(&mut pool, 5000, 5000).await;
    let seen = pool.stats().endpoints;
    assert_eq!(seen.iter().map(|seen| seen.requests).sum::<u64>(), 5000);
    assert_eq!(
        seen.iter().map(|seen| seen.failures).sum::<u64>(),
        failed as u64
    );
    assert!(failed > 2000);
}

#[tokio::test(start_paused = true)]
async fn no_two_ejections_need_be_of_the_same_length() {
    for base in [ms(1000), ms(60_000)] {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let ejection = Ejection::new().base(base).max(base).max_ejected(1.0);
        let builder = BalanceLayer::builder().seed(7).ejection(ejection);
        let layer = builder.observer(move |event: &Event<'_>| {
            if let Event::Ejected { duration, .. } = event {
                tell.lock().unwrap().push(*duration);
            }
        });
        let probes = answering([1; 16]);
        let (mut pool, _discovery) = balance(layer.build().unwrap(), &probes.each_ref()).await;
        send(&mut pool, 160, 16).await;
        for probe in &probes[..6] {
            probe.control.answer(Answer::Err(ms(1)));
        }
        send(&mut pool, 600, 32).await;
        let mut told = told.lock().unwrap().clone();
        assert!(told.len() >= 6, "{told:?}");
        assert!(told.iter().all(|told| (base * 4 / 5..=base).contains(told)));
        let all = told.len();
        told.sort_unstable();
        told.dedup();
        assert_eq!(told.len(), all);
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_ahead_leaves_nothing_behind() {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    let (mut pool, probes, _discovery) = due().await;
    let mut left = task::spawn(pool.clone().oneshot(()));
    assert_pending!(left.poll());
    tokio::time::advance(YEAR).await;
    assert!(find(&pool, 1).cost.is_finite() && find(&pool, 2).cost > 0.0);
    assert_eq!(health(&pool), Health::Probing);
    // Nobody waits for a probe for ever.
    is_readmitted(&pool).await;
    drop(left);
    tokio::time::advance(YEAR).await;
    send(&mut pool, 2000, 8).await;
    assert_eq!(health(&pool), Health::Admitted);
    assert!(share(&probes, 1) > 0.2);
}

#[tokio::test(start_paused = true)]
async fn it_is_on_unless_it_is_turned_off() {
    for (ejection, is_on) in [(Ejection::new(), true), (Ejection::off(), false)] {
        let layer = BalanceLayer::builder().ejection(ejection).build().unwrap();
        let layer = if is_on { BalanceLayer::new() } else { layer };
        let probes = answering([1, 1]);
        let (mut pool, _discovery) = balance(layer, &probes.each_ref()).await;
        probes[0].control.answer(Answer::Err(ms(1)));
        send(&mut pool, 100, 16).await;
        assert_eq!(find(&pool, 1).ejections > 0, is_on);
    }
}

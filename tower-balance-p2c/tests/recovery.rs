//! How much an endpoint gets once it is well again, of clients that each wait for their answers.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{cell::RefCell, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use support::{
    Answer, Pool, Probe, balance, settle,
    traffic::{BASE, WELL, answering_well, at_once, eject, seeded, seen},
};
use tokio::time::{advance, sleep, timeout};
use tower::ServiceExt as _;
use tower_balance_p2c::{Ejection, Health};

/// For so long each client sends one request after the other.
async fn clients(balance: &Pool, clients: usize, time: Duration, before_each: impl Fn()) {
    let client = async |number: usize| {
        sleep(Duration::from_micros(1003 * number as u64)).await;
        loop {
            before_each();
            let _ = balance.clone().oneshot(()).await;
        }
    };
    let clients = futures::future::join_all((0..clients).map(client));
    let _: Result<Vec<()>, _> = timeout(time, clients).await;
}

/// The share of an endpoint from ten seconds after its recovery on, of a fair one.
async fn share_after_recovery(number: usize, is_random: bool) -> f64 {
    let probes = answering_well::<4>();
    let (balance, _discovery) = balance(seeded(1, Ejection::new()), &probes.each_ref()).await;
    at_once(&balance, 4 * number).await;
    eject(&balance, &probes[0]).await;
    probes[0].control.answer(WELL);
    sleep(BASE).await;
    let random = RefCell::new(StdRng::seed_from_u64(7));
    let vary = || {
        if is_random {
            let micros = -11_003.0 * (1.0 - random.borrow_mut().random::<f64>()).ln();
            let latency = Duration::from_micros(micros as u64);
            let answer = |probe: &Probe| probe.control.answer(Answer::Ok(latency));
            probes.iter().for_each(answer);
        }
    };
    clients(&balance, number, Duration::from_secs(10), vary).await;
    assert_eq!(seen(&balance, 1).health, Health::Admitted);
    let before = probes.each_ref().map(|probe| probe.control.calls());
    clients(&balance, number, Duration::from_secs(10), vary).await;
    let after = probes.each_ref().map(|probe| probe.control.calls());
    let all = after.iter().sum::<usize>() - before.iter().sum::<usize>();
    4.0 * (after[0] - before[0]) as f64 / all as f64
}

#[tokio::test(start_paused = true)]
async fn it_has_its_share_again_however_many_clients_wait() {
    let mut all = Vec::new();
    for number in [2, 8, 16, 32, 64] {
        for is_random in [false, true] {
            all.push((
                number,
                is_random,
                share_after_recovery(number, is_random).await,
            ));
        }
    }
    let is_fair = |share: f64| (0.6..1.7).contains(&share);
    assert!(all.iter().all(|&(_, _, share)| is_fair(share)), "{all:?}");
}

/// Where one failure is enough to send all requests elsewhere, because the others are idle.
#[tokio::test(start_paused = true)]
async fn one_client_comes_back_when_the_failure_is_forgotten() {
    let probes = answering_well::<4>();
    let (balance, _discovery) = balance(seeded(2, Ejection::new()), &probes.each_ref()).await;
    let calm = || {};
    clients(&balance, 1, Duration::from_secs(20), calm).await;
    probes[0].control.answer(Answer::Err(Duration::ZERO));
    let calls = probes[0].control.calls();
    clients(&balance, 1, Duration::from_secs(2), calm).await;
    let lost = probes[0].control.calls() - calls;
    assert!((1..=3).contains(&lost), "{lost}");
    probes[0].control.answer(WELL);
    clients(&balance, 1, Duration::from_secs(13), calm).await;
    let before = probes.each_ref().map(|probe| probe.control.calls());
    clients(&balance, 1, Duration::from_secs(20), calm).await;
    let calls = probes[0].control.calls() - before[0];
    assert!(calls > 1000 / 11 * 20 / 8, "{calls}");
}

/// At random, whatever becomes of the requests, one each so many milliseconds on average.
async fn at_random(balance: &Pool, requests: usize, millis: f64, random: &mut StdRng) {
    for _ in 0..requests {
        tokio::spawn(balance.clone().oneshot(()));
        let pause = -millis * (1.0 - random.random::<f64>()).ln();
        advance(Duration::from_micros((pause * 1e3) as u64)).await;
        settle().await;
    }
}

/// The servers take as long for many requests as for one, so there is nothing to choose between
/// them but how busy they are.
#[tokio::test(start_paused = true)]
async fn its_share_does_not_depend_on_how_few_requests_it_had_at_a_time() {
    let mut all = Vec::new();
    for millis in [5.0, 2.0] {
        let mut random = StdRng::seed_from_u64(11);
        let probes = answering_well::<4>();
        let constant = Answer::Ok(Duration::from_millis(41));
        for probe in &probes {
            probe.control.answer(constant);
        }
        let (balance, _discovery) = balance(seeded(3, Ejection::new()), &probes.each_ref()).await;
        at_random(&balance, 1000, millis, &mut random).await;
        eject(&balance, &probes[0]).await;
        probes[0].control.answer(constant);
        while seen(&balance, 1).health != Health::Admitted {
            at_random(&balance, 100, millis, &mut random).await;
        }
        let mut shares = Vec::new();
        for _ in 0..5 {
            let before = probes[0].control.calls();
            at_random(&balance, 1000, millis, &mut random).await;
            shares.push((probes[0].control.calls() - before) as f64 / 250.0);
        }
        all.push((millis, shares));
    }
    let mut shares = all.iter().flat_map(|(_, shares)| shares);
    assert!(shares.all(|share| *share > 0.7), "{all:?}");
}

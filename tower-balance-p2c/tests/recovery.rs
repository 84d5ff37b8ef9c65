//! How much an endpoint gets once it is well again, of clients that each wait for their answers.

mod support;

use std::{cell::RefCell, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use support::{
    Answer, Pool, Probe, balance,
    traffic::{BASE, WELL, answering_well, at_once, eject, seeded, seen},
};
use tokio::time::{sleep, timeout};
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

//! Endpoints come, go, fail and hang while many clients send: nothing is lost, counted twice or
//! left behind. On threads and in real time, but for a bounded while.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use support::{Answer, Item, Pool, Probe, Readiness, discovery, waiting};
use tokio::{
    sync::mpsc::UnboundedSender,
    time::{sleep, timeout},
};
use tower::ServiceExt as _;
use tower_balance_p2c::{Change, error::NoEndpoint};

const CLIENTS: u64 = 16;
const WHILE: Duration = Duration::from_millis(2000);
/// Far beyond any bound in this test: whoever waits longer was forgotten.
const FORGOTTEN: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Tally {
    sent: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    none: AtomicU64,
    cancelled: AtomicU64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_request_has_one_end_and_nothing_stays_in_flight() {
    let (sender, stream) = discovery();
    let (balance, driver) = waiting(Duration::from_millis(50)).pair(stream);
    let driver = tokio::spawn(driver);
    let (tally, stop) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|seed| {
            let (balance, tally, stop) = (balance.clone(), Arc::clone(&tally), Arc::clone(&stop));
            tokio::spawn(client(seed, balance, tally, stop))
        })
        .collect();
    let made = churn(&sender).await;
    stop.store(true, SeqCst);
    for client in clients {
        timeout(FORGOTTEN, client).await.unwrap().unwrap();
    }

    let ends = [
        &tally.answered,
        &tally.failed,
        &tally.none,
        &tally.cancelled,
    ];
    let ended: u64 = ends.iter().map(|count| count.load(SeqCst)).sum();
    assert_eq!(tally.sent.load(SeqCst), ended);
    assert!(ends.iter().all(|count| count.load(SeqCst) > 0));
    let stats = balance.stats();
    assert!(
        stats
            .endpoints
            .iter()
            .all(|endpoint| endpoint.in_flight == 0)
    );
    let calls: usize = made.iter().map(|probe| probe.control.calls()).sum();
    assert_eq!(stats.picks, calls as u64);

    // It still works, and takes everything with it when it goes.
    let last = Probe::ready(0);
    sender.send(last.insert()).unwrap();
    assert!(balance.clone().oneshot(()).await.is_ok());
    drop(balance);
    timeout(FORGOTTEN, driver).await.unwrap().unwrap();
    assert_eq!(last.control.clones(), 1);
    assert!(made.iter().all(|probe| probe.control.clones() == 1));
}

async fn client(seed: u64, balance: Pool, tally: Arc<Tally>, stop: Arc<AtomicBool>) {
    let mut rng = StdRng::seed_from_u64(seed);
    while !stop.load(SeqCst) {
        tally.sent.fetch_add(1, SeqCst);
        let patience = Duration::from_millis(rng.random_range(1..100));
        let end = match timeout(patience, balance.clone().oneshot(())).await {
            Ok(Ok(_)) => &tally.answered,
            Ok(Err(error)) if error.is::<NoEndpoint>() => &tally.none,
            Ok(Err(_)) => &tally.failed,
            Err(_) => &tally.cancelled,
        };
        end.fetch_add(1, SeqCst);
        tokio::task::yield_now().await;
    }
}

/// Inserts, removes, replaces and breaks six endpoints at random. Returns all that there were.
async fn churn(discovery: &UnboundedSender<Item>) -> Vec<Probe> {
    let mut rng = StdRng::seed_from_u64(99);
    let mut made: Vec<Probe> = Vec::new();
    let end = tokio::time::Instant::now() + WHILE;
    while tokio::time::Instant::now() < end {
        let key = rng.random_range(0..6);
        match rng.random_range(0..10) {
            0..4 => {
                let probe = Probe::new(key, readiness(&mut rng)).answering(answer(&mut rng));
                discovery.send(probe.insert()).unwrap();
                made.push(probe);
            }
            4..7 => discovery.send(Ok(Change::Remove(key))).unwrap(),
            _ => {
                for probe in made.iter().rev().take(6) {
                    probe.control.answer(answer(&mut rng));
                }
            }
        }
        if rng.random_bool(0.02) {
            (0..6).for_each(|key| discovery.send(Ok(Change::Remove(key))).unwrap());
            sleep(Duration::from_millis(60)).await;
        }
        sleep(Duration::from_millis(1)).await;
    }
    (0..6).for_each(|key| discovery.send(Ok(Change::Remove(key))).unwrap());
    made
}

fn readiness(rng: &mut StdRng) -> Readiness {
    match rng.random_range(0..6) {
        0 => Readiness::Pending,
        1 => Readiness::Failed,
        2 | 3 => Readiness::Permits(rng.random_range(1..4)),
        _ => Readiness::Ready,
    }
}

fn answer(rng: &mut StdRng) -> Answer {
    match rng.random_range(0..8) {
        0 => Answer::Never,
        1 => Answer::Err(Duration::ZERO),
        2 => Answer::Ok(Duration::from_millis(3)),
        _ => Answer::Ok(Duration::ZERO),
    }
}

/// One endpoint that comes and goes, and clients with patience: each change must wake them all.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wakeup_is_lost() {
    let (sender, stream) = discovery();
    let (balance, driver) = waiting(Duration::MAX).pair(stream);
    tokio::spawn(driver);
    for round in 0..300 {
        let clients: Vec<_> = (0..8)
            .map(|_| tokio::spawn(balance.clone().oneshot(())))
            .collect();
        let probe = match round % 3 {
            0 => Probe::ready(0),
            1 => Probe::new(0, Readiness::Permits(1)),
            _ => Probe::new(0, Readiness::Pending),
        };
        sender.send(probe.insert()).unwrap();
        if round % 3 == 2 {
            tokio::task::yield_now().await;
            probe.control.set(Readiness::Ready);
        }
        for client in clients {
            timeout(FORGOTTEN, client).await.unwrap().unwrap().unwrap();
        }
        sender.send(probe.remove()).unwrap();
    }
}

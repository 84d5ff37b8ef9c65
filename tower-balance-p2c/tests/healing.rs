//! Endpoints fail and heal, come and go, while many clients send: nothing is lost, counted twice or
//! left out. On threads and in real time, but for a bounded while.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use support::{Answer, Item, Key, Pool, Probe, discovery};
use tokio::{
    sync::mpsc::UnboundedSender,
    time::{Instant, sleep, timeout},
};
use tower::ServiceExt as _;
use tower_balance_p2c::{BalanceLayer, Change, Ejection, Event, Health, error::NoEndpoint};

const CLIENTS: u64 = 24;
const ENDPOINTS: Key = 6;
const WHILE: Duration = Duration::from_millis(2500);
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

#[derive(Default)]
struct Events {
    ejected: AtomicUsize,
    probed: AtomicUsize,
    readmitted: AtomicUsize,
    recovered: AtomicUsize,
}

fn layer(events: &Arc<Events>) -> BalanceLayer<()> {
    let events = Arc::clone(events);
    let ejection = Ejection::new()
        .window(Duration::from_millis(500))
        .base(Duration::from_millis(10))
        .max(Duration::from_millis(80));
    // What hung is to be forgotten within the test.
    let builder = BalanceLayer::builder()
        .ejection(ejection)
        .decay(Duration::from_millis(200))
        .wait(Duration::from_millis(50));
    let builder = builder.observer(move |event: &Event<'_>| {
        let count = match event {
            Event::Ejected { .. } => &events.ejected,
            Event::Probed { .. } => &events.probed,
            Event::Readmitted { .. } => &events.readmitted,
            Event::Recovered { .. } => &events.recovered,
            _ => return,
        };
        count.fetch_add(1, SeqCst);
    });
    builder.build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_request_has_one_end_and_every_endpoint_comes_back() {
    let events = Arc::new(Events::default());
    let (sender, stream) = discovery();
    let (balance, driver) = layer(&events).pair(stream);
    let driver = tokio::spawn(driver);
    let (tally, stop) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|seed| {
            let (balance, tally, stop) = (balance.clone(), Arc::clone(&tally), Arc::clone(&stop));
            tokio::spawn(client(seed, balance, tally, stop))
        })
        .collect();
    let made = fail_and_heal(&sender).await;
    let of_churn = [&events.ejected, &events.probed, &events.readmitted];
    let of_churn = of_churn.map(|count| count.load(SeqCst));
    assert!(of_churn.iter().all(|&count| count >= 3), "{of_churn:?}");

    // All are well again, and all of them are found to be.
    let begun = Instant::now();
    while !all_are_admitted(&balance) {
        assert!(
            (Instant::now() - begun) < FORGOTTEN,
            "{:?}",
            balance.stats()
        );
        sleep(Duration::from_millis(20)).await;
    }
    assert!(events.recovered.load(SeqCst) > 0);
    let last = made.iter().rev().take(ENDPOINTS as usize);
    let last: Vec<_> = last.map(|probe| (probe, probe.control.calls())).collect();
    while last
        .iter()
        .any(|(probe, calls)| probe.control.calls() == *calls)
    {
        assert!(
            (Instant::now() - begun) < FORGOTTEN,
            "{:?}",
            balance.stats()
        );
        sleep(Duration::from_millis(20)).await;
    }
    // What was removed in the meantime takes no room: one that fails is still ejected.
    let last = made.last().unwrap();
    let ejected = events.ejected.load(SeqCst);
    last.control.answer(Answer::Err(Duration::from_millis(1)));
    let begun = Instant::now();
    while events.ejected.load(SeqCst) == ejected {
        assert!((Instant::now() - begun) < FORGOTTEN, "never ejected");
        sleep(Duration::from_millis(5)).await;
    }

    stop.store(true, SeqCst);
    for client in clients {
        timeout(FORGOTTEN, client).await.unwrap().unwrap();
    }
    is_conserved(&tally, &balance, &made);
    drop(balance);
    timeout(FORGOTTEN, driver).await.unwrap().unwrap();
    assert!(made.iter().all(|probe| probe.control.clones() == 1));
}

fn all_are_admitted(balance: &Pool) -> bool {
    let endpoints = balance.stats().endpoints;
    endpoints.len() == ENDPOINTS as usize
        && endpoints
            .iter()
            .all(|endpoint| endpoint.health == Health::Admitted)
}

fn is_conserved(tally: &Tally, balance: &Pool, made: &[Probe]) {
    let ends = [
        &tally.answered,
        &tally.failed,
        &tally.none,
        &tally.cancelled,
    ];
    let ended: u64 = ends.iter().map(|count| count.load(SeqCst)).sum();
    assert_eq!(tally.sent.load(SeqCst), ended);
    assert!(tally.answered.load(SeqCst) > 0 && tally.failed.load(SeqCst) > 0);
    let stats = balance.stats();
    let mut endpoints = stats.endpoints.iter();
    assert!(endpoints.all(|endpoint| endpoint.in_flight == 0));
    let calls: usize = made.iter().map(|probe| probe.control.calls()).sum();
    assert_eq!(stats.picks, calls as u64);
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

/// Of six endpoints up to two fail or hang at a time, and now and then one is replaced or taken
/// away for a moment. In the end all are there and well. Returns all that there were, the last
/// ones last.
async fn fail_and_heal(discovery: &UnboundedSender<Item>) -> Vec<Probe> {
    let mut rng = StdRng::seed_from_u64(99);
    let well = Answer::Ok(Duration::from_millis(2));
    let mut made: Vec<Probe> = Vec::new();
    let mut current: Vec<usize> = Vec::new();
    for key in 0..ENDPOINTS {
        current.push(made.len());
        made.push(Probe::ready(key).answering(well));
        discovery
            .send(made[current[key as usize]].insert())
            .unwrap();
    }
    let end = Instant::now() + WHILE;
    while Instant::now() < end {
        let unwell = [0, 1].map(|_| rng.random_range(0..ENDPOINTS as usize));
        for place in unwell {
            let answer = if rng.random_bool(0.2) {
                Answer::Never
            } else {
                Answer::Err(Duration::from_millis(rng.random_range(0..3)))
            };
            made[current[place]].control.answer(answer);
        }
        sleep(Duration::from_millis(rng.random_range(20..80))).await;
        if rng.random_bool(0.3) {
            let place = unwell[0];
            if rng.random() {
                discovery.send(Ok(Change::Remove(place as Key))).unwrap();
                sleep(Duration::from_millis(3)).await;
            }
            current[place] = made.len();
            made.push(Probe::ready(place as Key).answering(well));
            discovery.send(made[current[place]].insert()).unwrap();
        }
        for probe in &made {
            probe.control.answer(well);
        }
        sleep(Duration::from_millis(rng.random_range(20..80))).await;
    }
    for (key, place) in current.into_iter().enumerate() {
        let last = Probe::ready(key as Key).answering(well);
        made[place].control.answer(well);
        discovery.send(last.insert()).unwrap();
        made.push(last);
    }
    made
}

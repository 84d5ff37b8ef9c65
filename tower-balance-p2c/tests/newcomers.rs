//! An endpoint that joins others gets a request soon, its share slowly, and never too much.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::time::Duration;

use futures::future::join_all;
use support::{
    Item, Key, Pool, Probe, balance, endpoint, settle,
    traffic::{BADLY, WELL, answering_well, at_once, seen},
};
use tokio::{
    sync::mpsc::UnboundedSender,
    time::{Instant, sleep},
};
use tower::ServiceExt as _;
use tower_balance_p2c::{BalanceLayer, SlowStart};

fn layer(seed: u64, slow_start: SlowStart) -> BalanceLayer<()> {
    let builder = BalanceLayer::builder().seed(seed).slow_start(slow_start);
    builder.build().unwrap()
}

/// So many endpoints that have answered already.
async fn established(
    seed: u64,
    endpoints: Key,
    slow_start: SlowStart,
) -> (Pool, UnboundedSender<Item>, Vec<Probe>) {
    let probes: Vec<_> = (1..=endpoints)
        .map(|key| Probe::ready(key).answering(WELL))
        .collect();
    let borrowed: Vec<_> = probes.iter().collect();
    let (balance, discovery) = balance(layer(seed, slow_start), &borrowed).await;
    for _ in 0..4 {
        at_once(&balance, endpoints as usize * 4).await;
    }
    sleep(Duration::from_millis(103)).await;
    at_once(&balance, endpoints as usize * 4).await;
    (balance, discovery, probes)
}

async fn join(discovery: &UnboundedSender<Item>, key: Key) -> Probe {
    let probe = Probe::ready(key).answering(WELL);
    discovery.send(probe.insert()).unwrap();
    settle().await;
    probe
}

/// One request each so often, without waiting for its answer.
async fn every(pause: Duration, requests: usize, balance: &Pool, mut after: impl FnMut()) {
    let mut under_way = Vec::new();
    for _ in 0..requests {
        under_way.push(tokio::spawn(balance.clone().oneshot(())));
        sleep(pause).await;
        after();
    }
    for request in under_way {
        request.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn it_starts_from_what_is_typical_of_the_others() {
    let (balance, discovery, _probes) = established(1, 4, SlowStart::new()).await;
    let _joined = join(&discovery, 9).await;
    let stats = balance.stats();
    let joined = endpoint(&balance, 9);
    assert_eq!(joined.latency, None);
    assert_eq!(joined.latency_per_place, stats.typical_latency);
    let least = Duration::from_millis(2);
    assert!(stats.typical_latency > least && stats.typical_latency <= Duration::from_millis(11));
    assert!((0.1..0.11).contains(&joined.share), "{}", joined.share);
}

/// Where it is a candidate for the least that there is, so that the first request is owed.
#[tokio::test(start_paused = true)]
async fn the_first_request_comes_within_a_second_however_big_the_set_and_small_the_traffic() {
    let hardly = SlowStart::new()
        .floor(0.01)
        .window(Duration::from_secs(86_400));
    for (endpoints, per_second) in [(4, 211), (16, 53), (100, 50)] {
        for seed in 0..10 {
            let (balance, discovery, _probes) = established(seed, endpoints, hardly).await;
            let begun = Instant::now();
            let joined = join(&discovery, 1000).await;
            let mut first = None;
            let pause = Duration::from_nanos(1_000_000_007 / per_second);
            every(pause, 2 * per_second as usize, &balance, || {
                if joined.control.calls() > 0 && first.is_none() {
                    first = Some(Instant::now() - begun);
                }
            })
            .await;
            let first = first.unwrap_or(Duration::MAX);
            assert!(
                first <= Duration::from_millis(1000) + pause,
                "{first:?} of {endpoints}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn newcomers_of_many_clients_are_not_asked_by_all_of_them_at_once() {
    let hardly = SlowStart::new()
        .floor(0.01)
        .window(Duration::from_secs(86_400));
    let mut firsts = Vec::new();
    for seed in 0..20 {
        let (balance, discovery, _probes) = established(seed, 100, hardly).await;
        let begun = Instant::now();
        let joined = join(&discovery, 1000).await;
        while joined.control.calls() == 0 {
            let _ = balance.clone().oneshot(()).await;
            sleep(Duration::from_millis(7)).await;
        }
        firsts.push(Instant::now() - begun);
    }
    let owed = firsts
        .iter()
        .filter(|first| **first >= Duration::from_millis(300));
    assert!(owed.count() >= 15, "{firsts:?}");
    let (first, last) = (firsts.iter().min().unwrap(), firsts.iter().max().unwrap());
    assert!(*last - *first > Duration::from_millis(300), "{firsts:?}");
}

#[tokio::test(start_paused = true)]
async fn its_share_grows_over_the_window_by_the_shape_that_is_set() {
    let seconds = Duration::from_secs;
    for (aggression, halfway) in [(1.0, 0.5), (2.0, 0.707), (0.5, 0.25)] {
        let slow = SlowStart::new().window(seconds(20)).aggression(aggression);
        let (balance, discovery, _probes) = established(2, 4, slow.floor(0.05)).await;
        let _joined = join(&discovery, 9).await;
        let share = || seen(&balance, 9).share;
        assert!((share() - 0.05).abs() < 1e-3);
        sleep(seconds(10)).await;
        assert!((share() - halfway).abs() < 1e-2, "{}", share());
        sleep(seconds(10)).await;
        assert_eq!(share(), 1.0);
    }
}

/// Requests to the one that has joined, of so many, in the given second after it has.
async fn of_fair(slow_start: SlowStart, second: u64) -> f64 {
    let (balance, discovery, probes) = established(3, 9, slow_start).await;
    let joined = join(&discovery, 1000).await;
    let pause = Duration::from_micros(997);
    every(pause, 1000 * second as usize, &balance, || {}).await;
    let before = joined.control.calls();
    let all: usize = probes.iter().map(|probe| probe.control.calls()).sum();
    every(pause, 1000, &balance, || {}).await;
    let of_it = joined.control.calls() - before;
    let others: usize = probes.iter().map(|probe| probe.control.calls()).sum();
    of_it as f64 * 10.0 / (of_it + others - all) as f64
}

#[tokio::test(start_paused = true)]
async fn what_it_gets_follows_its_share() {
    let slow = SlowStart::new();
    let early = of_fair(slow, 0).await;
    assert!((0.1..1.2).contains(&early), "{early}");
    let late = of_fair(slow, 10).await;
    assert!((0.8..1.25).contains(&late), "{late}");
    let off = of_fair(SlowStart::off(), 0).await;
    assert!((0.8..1.25).contains(&off), "{off}");
}

#[tokio::test(start_paused = true)]
async fn without_slow_start_it_is_like_the_others_at_once() {
    let (balance, discovery, _probes) = established(4, 4, SlowStart::off()).await;
    let joined = join(&discovery, 9).await;
    assert_eq!(endpoint(&balance, 9).share, 1.0);
    at_once(&balance, 50).await;
    assert!(joined.control.calls() >= 7);
}

#[tokio::test(start_paused = true)]
async fn at_the_start_of_a_set_nobody_is_a_newcomer() {
    let probes = answering_well::<4>();
    let (balance, discovery) = balance(layer(5, SlowStart::new()), &probes.each_ref()).await;
    let late = join(&discovery, 9).await;
    // Failures do not establish anybody.
    for probe in &probes {
        probe.control.answer(BADLY);
    }
    late.control.answer(BADLY);
    assert_eq!(at_once(&balance, 8).await, 8);
    let _later = join(&discovery, 10).await;
    let endpoints = balance.stats().endpoints;
    assert!(endpoints.iter().all(|endpoint| endpoint.share == 1.0));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_inserted_again_is_no_newcomer() {
    let (balance, discovery, _probes) = established(6, 4, SlowStart::new()).await;
    let again = join(&discovery, 1).await;
    let known = endpoint(&balance, 1);
    assert_eq!(known.share, 1.0);
    assert!(known.latency.is_some());
    // One that is new goes on growing from where it was.
    let _joined = join(&discovery, 9).await;
    sleep(Duration::from_millis(5003)).await;
    let _joined = join(&discovery, 9).await;
    assert!((endpoint(&balance, 9).share - 0.5).abs() < 0.01);
    at_once(&balance, 60).await;
    assert!(again.control.calls() >= 5);
}

#[tokio::test(start_paused = true)]
async fn many_that_join_at_once_do_not_take_all_the_requests() {
    let hardly = SlowStart::new()
        .floor(0.01)
        .window(Duration::from_secs(86_400));
    let (balance, discovery, probes) = established(7, 10, hardly).await;
    let mut joined = Vec::new();
    for key in 100..200 {
        joined.push(join(&discovery, key).await);
    }
    // All of them are owed a request by now.
    sleep(Duration::from_millis(1003)).await;
    let before: usize = probes.iter().map(|probe| probe.control.calls()).sum();
    let mut run = 0;
    let mut longest = 0;
    let mut of_others = before;
    every(Duration::from_millis(3), 500, &balance, || {
        let others: usize = probes.iter().map(|probe| probe.control.calls()).sum();
        run = if others > of_others { 0 } else { run + 1 };
        longest = longest.max(run);
        of_others = others;
    })
    .await;
    assert!(of_others - before >= 250, "{}", of_others - before);
    assert!(longest <= 20, "{longest} in a row");
    every(Duration::from_millis(3), 3000, &balance, || {}).await;
    let asked = joined.iter().filter(|probe| probe.control.calls() > 0);
    assert_eq!(asked.count(), 100);
}

#[tokio::test(start_paused = true)]
async fn where_all_are_newcomers_they_take_all_the_requests() {
    let (balance, discovery, probes) = established(8, 3, SlowStart::new()).await;
    let _joined = [join(&discovery, 9).await, join(&discovery, 10).await];
    for probe in &probes {
        discovery.send(probe.remove()).unwrap();
    }
    settle().await;
    let requests = (0..40).map(|_| balance.clone().oneshot(()));
    let keys: Vec<_> = join_all(requests).await;
    assert!(keys.iter().all(|key| matches!(key, Ok(9 | 10))));
    assert_eq!(balance.stats().waits, 0);
}

/// Each client has a balancer of its own over the same servers, and a hundredth of the traffic.
#[tokio::test(start_paused = true)]
async fn in_its_first_second_it_gets_no_more_than_its_part_of_what_a_hundred_clients_send() {
    let probes: Vec<_> = (1..=10)
        .map(|key| Probe::ready(key).answering(WELL))
        .collect();
    let borrowed: Vec<_> = probes.iter().collect();
    let mut clients = Vec::new();
    for seed in 0..100 {
        clients.push(balance(layer(seed, SlowStart::new()), &borrowed).await);
    }
    let traffic = async |rounds: usize| {
        for round in 0..rounds {
            // Out of step with each other.
            let of_round = clients.iter().enumerate();
            let of_round = of_round.filter(|(client, _)| client % 20 == round % 20);
            let requests =
                of_round.map(|(_, (balance, _))| tokio::spawn(balance.clone().oneshot(())));
            let requests: Vec<_> = requests.collect();
            sleep(Duration::from_micros(1003)).await;
            drop(requests);
        }
    };
    traffic(3000).await;
    let joined = Probe::ready(11).answering(WELL);
    for (_, discovery) in &clients {
        discovery.send(joined.insert()).unwrap();
    }
    settle().await;
    let before: usize = probes.iter().map(|probe| probe.control.calls()).sum();
    traffic(1000).await;
    let others: usize = probes.iter().map(|probe| probe.control.calls()).sum();
    let of_it = joined.control.calls();
    let all = of_it + others - before;
    let of_fair = of_it as f64 * 11.0 / all as f64;
    assert!(all > 4500 && of_it > 0);
    assert!(of_fair <= 1.2, "{of_fair}");
}

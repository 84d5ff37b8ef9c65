//! The known defects of the balancers that this one comes from, one by one: it has none of them.
//!
//! Where the predecessor is a crate, it goes through the same scenario in the same test, and is
//! expected to show the defect. Such a test fails when the predecessor has mended it; what is said
//! of it elsewhere is to be corrected then.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod clock;
#[path = "../../src/flights.rs"]
#[allow(dead_code, reason = "a test uses a part")]
mod flights;
#[path = "../../src/health/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "a test uses a part"
)]
mod health;
#[path = "../../src/latency.rs"]
#[allow(dead_code, reason = "a test uses a part")]
mod latency;
mod linkerd_biaser;
mod linkerd_breaker;
mod linkerd_pool;
#[path = "../../src/outcomes.rs"]
#[allow(dead_code, reason = "a test uses a part")]
mod outcomes;
#[path = "../support/patient.rs"]
mod patient;
#[path = "../support/mod.rs"]
mod support;
#[path = "../../src/sync.rs"]
mod sync;
mod theirs;
mod tower_balance;
mod tower_load;
mod tower_ready_cache;

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use support::{Answer, Key, Pool, Probe, Readiness, settle};
use tower::ServiceExt as _;
use tower_balance_p2c::{BalanceLayer, EndpointStats, Health};
use tower_service::Service;

/// Sends so many requests, so many of them at a time. Returns how many failed.
async fn send<S: Service<()>>(service: &mut S, requests: usize, at_a_time: usize) -> usize {
    let mut under_way = FuturesUnordered::new();
    let mut failed = 0;
    for _ in 0..requests {
        if under_way.len() == at_a_time {
            failed += under_way.next().await.unwrap_or(0);
        }
        match service.ready().await {
            Ok(service) => under_way.push(service.call(()).map(|result| result.is_err().into())),
            Err(_) => failed += 1,
        }
    }
    failed
        + under_way
            .collect::<Vec<usize>>()
            .await
            .iter()
            .sum::<usize>()
}

/// Endpoints 1, 2 and so on that answer after so many milliseconds.
fn answering<const N: usize>(millis: [u64; N]) -> [Probe; N] {
    let mut key = 0;
    millis.map(|latency| {
        key += 1;
        Probe::ready(key).answering(Answer::Ok(ms(latency)))
    })
}

/// Ejects the first of two by three failures, which it gets because the other is not ready.
async fn eject(pool: &mut Pool, probes: &[Probe; 2]) {
    probes[1].control.set(Readiness::Pending);
    probes[0].control.answer(Answer::Err(ms(1)));
    assert_eq!(send(pool, 3, 1).await, 3);
    probes[1].control.set(Readiness::Ready);
    settle().await;
    assert!(matches!(find(pool, 1).health, Health::Ejected { .. }));
}

fn seeded() -> BalanceLayer<()> {
    BalanceLayer::builder().seed(7).build().unwrap()
}

fn find(pool: &Pool, key: Key) -> EndpointStats<Key> {
    support::endpoint(pool, key)
}

/// The share of an endpoint's calls in those of all.
fn share(probes: &[Probe], key: Key) -> f64 {
    let calls = |probe: &Probe| probe.control.calls() as f64;
    let all: f64 = probes.iter().map(calls).sum();
    let own = probes.iter().filter(|probe| probe.control.key == key);
    own.map(calls).sum::<f64>() / all
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

//! Requests that are under way together, and endpoints that are made to fail by them.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{task::Poll, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio_test::task;
use tower::ServiceExt as _;
use tower_balance_p2c::{
    Balance, BalanceLayer, Classify, Completion, Ejection, EndpointStats, Health, Steer,
};

use super::{Answer, Key, Pool, Probe, Refused};

pub const WELL: Answer = Answer::Ok(Duration::from_millis(11));
pub const BADLY: Answer = Answer::Err(Duration::from_millis(3));
/// No first ejection is longer.
pub const BASE: Duration = Duration::from_millis(1003);

pub fn seeded(seed: u64, ejection: Ejection) -> BalanceLayer<()> {
    let builder = BalanceLayer::builder().seed(seed).ejection(ejection);
    builder.build().unwrap()
}

pub fn answering_well<const N: usize>() -> [Probe; N] {
    std::array::from_fn(|key| Probe::ready(key as Key + 1).answering(WELL))
}

/// Sends so many at once, and returns how many of them failed.
pub async fn at_once<C, T, A>(balance: &Balance<Key, Probe, (), C, T, A>, requests: usize) -> usize
where
    C: Classify<Key, Refused>,
    T: Completion<Key>,
    A: Steer<Key, (), T::Output>,
{
    let requests = (0..requests).map(|_| balance.clone().oneshot(()));
    // Each is polled when it is woken, and at no other time.
    let requests: FuturesUnordered<_> = requests.collect();
    let results: Vec<_> = requests.collect().await;
    results.iter().filter(|result| result.is_err()).count()
}

/// Likewise, but says before each of them how the endpoint is to answer.
pub async fn at_once_with(balance: &Pool, requests: usize, mut answer: impl FnMut()) -> usize {
    let mut failed = 0;
    let under_way = FuturesUnordered::new();
    for _ in 0..requests {
        answer();
        let mut request = task::spawn(balance.clone().oneshot(()));
        match request.poll() {
            Poll::Ready(result) => failed += usize::from(result.is_err()),
            Poll::Pending => under_way.push(request),
        }
    }
    let results: Vec<_> = under_way.collect().await;
    failed + results.iter().filter(|result| result.is_err()).count()
}

pub fn seen<C, T, A>(balance: &Balance<Key, Probe, (), C, T, A>, key: Key) -> EndpointStats<Key> {
    let endpoints = balance.stats().endpoints;
    let mut found = endpoints.into_iter().filter(|endpoint| endpoint.key == key);
    found.next().unwrap()
}

pub fn is_ejected<C, T, A>(balance: &Balance<Key, Probe, (), C, T, A>, key: Key) -> bool {
    matches!(seen(balance, key).health, Health::Ejected { .. })
}

/// Makes an endpoint fail until it is ejected. It goes on failing.
pub async fn eject<C, T, A>(balance: &Balance<Key, Probe, (), C, T, A>, probe: &Probe)
where
    C: Classify<Key, Refused>,
    T: Completion<Key>,
    A: Steer<Key, (), T::Output>,
{
    probe.control.answer(BADLY);
    let before = seen(balance, probe.control.key).ejections;
    for _ in 0..50 {
        at_once(balance, 16).await;
        if seen(balance, probe.control.key).ejections > before {
            return;
        }
    }
    panic!("endpoint {} is never ejected", probe.control.key);
}

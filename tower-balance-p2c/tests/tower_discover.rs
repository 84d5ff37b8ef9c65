//! Whatever tower can discover, this balancer can take.
#![cfg(feature = "tower")]
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{collections::VecDeque, convert::Infallible};

use futures::{StreamExt as _, stream};
use support::{Key, Probe, Refused, settle};
use tokio_test::{assert_ready, assert_ready_eq, task};
use tower::{
    ServiceBuilder, ServiceExt as _,
    discover::{Change as Found, Discover, ServiceList},
};
use tower_balance_p2c::{Balance, BalanceLayer, Change, Subset, discover::FromTower};

/// It is not `Unpin`, and panics when it is polled after its end.
fn unfold<T, E>(
    found: Vec<Result<Found<Key, T>, E>>,
) -> impl Discover<Key = Key, Service = T, Error = E> {
    stream::unfold(VecDeque::from(found), |mut found| async {
        tokio::task::yield_now().await;
        found.pop_front().map(|item| (item, found))
    })
}

#[tokio::test(start_paused = true)]
async fn a_list_of_services_is_balanced() {
    let probes = [1, 2, 3].map(Probe::ready);
    let controls = probes.each_ref().map(|probe| probe.control.clone());
    let balance = ServiceBuilder::new()
        .layer(BalanceLayer::new())
        .service(FromTower::new(ServiceList::new::<()>(probes)));
    for _ in 0..9 {
        assert!(balance.clone().oneshot(()).await.is_ok());
    }
    let keys = balance.stats().endpoints.into_iter();
    let mut keys: Vec<usize> = keys.map(|endpoint| endpoint.key).collect();
    keys.sort_unstable();
    assert_eq!(keys, [0, 1, 2]);
    let calls: usize = controls.iter().map(|control| control.calls()).sum();
    assert_eq!(calls, 9);
}

#[tokio::test(start_paused = true)]
async fn changes_are_followed_and_the_end_keeps_the_last_set() {
    let probes = [1, 2, 3].map(Probe::ready);
    let inserts = probes.iter();
    let inserts = inserts.map(|probe| Ok(Found::Insert(probe.control.key, probe.clone())));
    let found = inserts.chain([Ok::<_, Refused>(Found::Remove(2))]);
    let (balance, driver) = Balance::new(FromTower::new(unfold(found.collect())));
    tokio::spawn(driver);
    settle().await;
    for _ in 0..9 {
        let answer = balance.clone().oneshot(()).await.unwrap();
        assert!([1, 3].contains(&answer));
    }
    assert_eq!(balance.stats().ready, 2);
    assert_eq!(probes[1].control.clones(), 1);
}

#[tokio::test]
async fn it_is_not_polled_after_its_end() {
    let mut items = Box::pin(FromTower::new(unfold(vec![
        Ok(Found::Insert(1, 'a')),
        Err("down"),
        Ok(Found::Remove(1)),
    ])));
    assert_eq!(items.next().await, Some(Ok(Change::Insert(1, 'a'))));
    assert_eq!(items.next().await, Some(Err("down")));
    assert_eq!(items.next().await, Some(Ok(Change::Remove(1))));
    for _ in 0..3 {
        assert_eq!(items.next().await, None);
    }
}

#[test]
fn a_subset_of_what_tower_finds() {
    let found = (0..100).map(|key| Ok::<_, Infallible>(Found::Insert(key, key)));
    let found = FromTower::new(stream::iter(found));
    let mut subset = task::spawn(Subset::new(found, 5, 7));
    for _ in 0..5 {
        let Some(Ok(Change::Insert(_, _))) = assert_ready!(subset.poll_next()) else {
            panic!("more than insertions");
        };
    }
    assert_ready_eq!(subset.poll_next(), None);
}

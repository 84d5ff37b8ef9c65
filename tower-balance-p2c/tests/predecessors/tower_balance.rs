//! `tower::balance::p2c`.

mod shares;
mod types;

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, stream};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use tokio_test::{assert_pending, task};
use tower::{
    ServiceExt as _, balance::p2c, buffer::Buffer, discover, load::Constant, util::rng::Rng,
};
use tower_balance_p2c::{
    Change,
    error::{NoEndpoint, Reason},
};
use tower_service::Service as _;

use crate::{
    answering, ms, seeded, send,
    support::{Item, Probe, Readiness, Refused, balance, permits::Limited, settle},
    theirs::{self, BalanceOf as _, look, still},
};

const LONG: Duration = Duration::from_secs(60 * 60);

/// tower #856.
#[tokio::test(start_paused = true)]
async fn a_removal_after_readiness_does_not_leave_the_request_with_a_worse_endpoint() {
    let probes = answering([1, 5, 211]);
    let (mut ours, discovery) = balance(seeded(), &probes.each_ref()).await;
    send(&mut ours, 6, 6).await;
    assert!(look(&mut ours).await.is_ready());
    discovery.send(probes[0].remove()).unwrap();
    settle().await;
    assert!(look(&mut ours).await.is_ready());
    assert_eq!(ours.call(()).await.unwrap(), 2);

    /// Compares the last of those that are ready with the first.
    struct Ends;
    impl Rng for Ends {
        fn next_u64(&mut self) -> u64 {
            0
        }
    }
    let (discovery, stream) = theirs::discovery();
    for probe in &probes {
        let key = probe.control.key;
        let found = discover::Change::Insert(key, Constant::new(probe.clone(), key));
        discovery.send(Ok(found)).unwrap();
    }
    let mut theirs = p2c::Balance::from_rng(stream, Ends);
    assert!(look(&mut theirs).await.is_ready());
    discovery.send(Ok(discover::Change::Remove(1))).unwrap();
    assert!(look(&mut theirs).await.is_ready());
    let answer = theirs.call(()).await.unwrap();
    still(answer == 3, "#856, the choice is a place in a list");
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_stays_ready_until_a_call() {
    let probes = answering([0]);
    let (mut ours, discovery) = balance(seeded(), &probes.each_ref()).await;
    assert!(look(&mut ours).await.is_ready());
    discovery.send(probes[0].remove()).unwrap();
    settle().await;
    assert!(look(&mut ours).await.is_ready());
    let mut request = task::spawn(ours.call(()));
    assert_pending!(request.poll());
    discovery.send(probes[0].insert()).unwrap();
    assert_eq!(request.await.unwrap(), 1);

    let with_load = |probe: &Probe| Constant::new(probe.clone(), 0);
    let (mut theirs, discovery) = theirs::balance(&probes, with_load);
    assert!(look(&mut theirs).await.is_ready());
    discovery.send(Ok(discover::Change::Remove(1))).unwrap();
    let then = look(&mut theirs).await;
    still(then.is_pending(), "ready, then pending without a call");
}

#[tokio::test(start_paused = true)]
async fn one_readiness_error_does_not_cost_the_endpoint() {
    let probes = answering([0]);
    let inserts = probes.each_ref().map(Probe::insert);
    let (ours, driver) = seeded().pair(stream::iter(inserts));
    tokio::spawn(driver);
    settle().await;
    probes[0].control.set(Readiness::Failed);
    let request = tokio::spawn(ours.clone().oneshot(()));
    settle().await;
    probes[0].control.set(Readiness::Ready);
    assert_eq!(request.await.unwrap().unwrap(), 1);
    assert_eq!(ours.clone().oneshot(()).await.unwrap(), 1);

    let with_load = |probe: &Probe| Constant::new(probe.clone(), 0);
    probes[0].control.set(Readiness::Failed);
    let (mut theirs, _discovery) = theirs::balance(&probes, with_load);
    assert!(look(&mut theirs).await.is_pending());
    probes[0].control.set(Readiness::Ready);
    sleep(LONG).await;
    let is_lost = look(&mut theirs).await.is_pending() && theirs.len() == 0;
    still(is_lost, "one readiness error drops an endpoint for good");
}

#[tokio::test(start_paused = true)]
async fn an_empty_set_ends_in_an_error_after_the_bound() {
    let (ours, driver) = seeded().pair(stream::empty::<Item>());
    tokio::spawn(driver);
    let begun = Instant::now();
    let error = ours.oneshot(()).await.unwrap_err();
    let error = error.downcast_ref::<NoEndpoint>().unwrap();
    assert_eq!(error.reason(), Reason::Empty);
    assert_eq!(Instant::now() - begun, Duration::from_secs(1));

    let none = stream::empty::<theirs::Found<Constant<Probe, u32>>>();
    let mut theirs = theirs::seeded(none);
    let mut ready = task::spawn(theirs.ready());
    assert!(ready.poll().is_pending());
    sleep(24 * LONG).await;
    let hangs = !ready.is_woken() && ready.poll().is_pending();
    still(hangs, "an empty set is pending for ever");
}

#[tokio::test(start_paused = true)]
async fn a_discovery_is_not_polled_after_its_end() {
    let probes = answering([0]);
    let once = VecDeque::from([probes[0].insert()]);
    let found = stream::unfold(once, |mut found| async {
        found.pop_front().map(|item| (item, found))
    });
    let (mut ours, driver) = seeded().pair(found);
    let driver = tokio::spawn(driver);
    assert_eq!(send(&mut ours, 10, 1).await, 0);
    // So that the driver has something to do.
    probes[0].control.set(Readiness::Pending);
    let request = tokio::spawn(ours.oneshot(()));
    settle().await;
    assert!(!driver.is_finished());
    probes[0].control.set(Readiness::Ready);
    assert!(request.await.unwrap().is_ok());

    let once = VecDeque::from([Ok::<_, Refused>(discover::Change::Insert(
        1,
        Constant::new(probes[0].clone(), 0),
    ))]);
    let found = stream::unfold(once, |mut found| async {
        found.pop_front().map(|item| (item, found))
    });
    let mut theirs = theirs::seeded(Box::pin(found));
    assert!(look(&mut theirs).await.is_ready());
    let again = catch_unwind(AssertUnwindSafe(|| look(&mut theirs).now_or_never()));
    still(again.is_err(), "discovery is polled again after its end");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_discovery_is_no_error_of_requests() {
    let probes = answering([0]);
    let (mut ours, discovery) = balance(seeded(), &probes.each_ref()).await;
    discovery.send(Err(Refused(9))).unwrap();
    discovery.send(Probe::ready(2).insert()).unwrap();
    settle().await;
    assert_eq!(send(&mut ours, 10, 2).await, 0);
    assert_eq!(ours.stats().ready, 2);

    let with_load = |probe: &Probe| Constant::new(probe.clone(), 0);
    let (discovery, found) = theirs::discovery();
    let insert = discover::Change::Insert(1, with_load(&probes[0]));
    discovery.send(Ok(insert)).unwrap();
    let mut theirs = Buffer::new(theirs::seeded(found), 8);
    assert_eq!(send(&mut theirs, 10, 2).await, 0);
    discovery.send(Err(Refused(9))).unwrap();
    sleep(ms(11)).await;
    let failed = send(&mut theirs, 10, 2).await;
    still(failed == 10, "a discovery error ends the Buffer around it");
}

/// tower #824.
#[tokio::test(start_paused = true)]
async fn discovery_and_readiness_make_progress_without_requests() {
    let (early, late) = (Probe::ready(1), Probe::new(2, Readiness::Pending));
    let (ours, discovery) = balance(seeded(), &[&early, &late]).await;
    late.control.set(Readiness::Ready);
    settle().await;
    assert_eq!(ours.stats().ready, 2);
    discovery.send(early.remove()).unwrap();
    settle().await;
    assert_eq!(early.control.clones(), 1);

    let probes = answering([0, 0]);
    let with_load = |probe: &Probe| Constant::new(probe.clone(), 0);
    let (mut theirs, discovery) = theirs::balance(&probes, with_load);
    sleep(LONG).await;
    assert_eq!(probes[0].control.polls(), 0);
    assert!(look(&mut theirs).await.is_ready());
    discovery.send(Ok(discover::Change::Remove(1))).unwrap();
    sleep(LONG).await;
    let is_kept = probes[0].control.clones() == 2;
    still(is_kept, "#824, nothing happens while no request polls");
}

#[tokio::test(start_paused = true)]
async fn idle_endpoints_hold_no_permits() {
    let semaphore = Arc::new(Semaphore::new(2));
    let limited = Limited::new(Arc::clone(&semaphore));
    let inserts = (0..4).map(|key| Ok::<_, Refused>(Change::Insert(key, limited.clone())));
    let (mut ours, driver) = seeded().pair(stream::iter(inserts.collect::<Vec<_>>()));
    tokio::spawn(driver);
    settle().await;
    assert_eq!(ours.stats().ready, 4);
    assert_eq!(semaphore.available_permits(), 2);
    assert_eq!(send(&mut ours, 100, 10).await, 0);
    settle().await;
    assert_eq!(semaphore.available_permits(), 2);

    let insert = |key| discover::Change::Insert(key, Constant::new(limited.clone(), 0));
    let inserts: Vec<_> = (0..4).map(|key| Ok::<_, Refused>(insert(key))).collect();
    let mut theirs = theirs::seeded(stream::iter(inserts).chain(stream::pending()));
    assert!(look(&mut theirs).await.is_ready());
    let free = semaphore.available_permits();
    still(free == 0, "every endpoint is reserved while idle");
}

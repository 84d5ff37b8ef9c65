//! `tower::ready_cache`.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_test::{assert_pending, task};
use tower::{ServiceExt as _, ready_cache::ReadyCache};
use tower_balance_p2c::{Balance, Change, error::NoEndpoint};
use tower_service::Service as _;

use crate::{
    answering, find, ms, seeded, send,
    support::{
        Key, Probe, Readiness, Refused, balance, discovery, permits::Limited, settle, waiting,
    },
    theirs::{look, still},
};

type Cache = ReadyCache<Key, Probe, ()>;

fn poll(cache: &mut Cache) {
    let _ = cache.poll_pending(&mut Context::from_waker(Waker::noop()));
}

fn cache(probes: &[Probe]) -> Cache {
    let mut cache = Cache::default();
    for probe in probes {
        cache.push(probe.control.key, probe.clone());
    }
    poll(&mut cache);
    cache
}

#[tokio::test(start_paused = true)]
async fn a_removal_between_readiness_and_call_does_not_panic() {
    let probes = answering([0]);
    let (mut ours, discovery) = balance(waiting(Duration::ZERO), &probes.each_ref()).await;
    assert!(look(&mut ours).await.is_ready());
    discovery.send(probes[0].remove()).unwrap();
    settle().await;
    let error = ours.call(()).await.unwrap_err();
    assert!(error.is::<NoEndpoint>());

    let mut theirs = cache(&probes);
    assert!(theirs.evict(&1));
    let called = catch_unwind(AssertUnwindSafe(|| drop(theirs.call_ready(&1, ()))));
    still(called.is_err(), "a call to what was removed panics");
}

#[tokio::test(start_paused = true)]
async fn a_removal_does_not_make_another_endpoint_of_the_one_that_was_chosen() {
    let probes = answering([0, 0, 0]);
    for chosen in &probes {
        let (sender, found) = discovery();
        for probe in &probes {
            sender.send(probe.insert()).unwrap();
        }
        let (mut ours, driver) = seeded().pair(found);
        let mut driver = task::spawn(driver);
        assert_pending!(driver.poll());
        // It is removed in the middle of the look at it, and the set is told.
        let remove = chosen.remove();
        chosen.control.when_polled(move || {
            sender.send(remove).unwrap();
            assert_pending!(driver.poll());
        });
        let before = chosen.control.calls();
        for _ in 0..30 {
            assert_ne!(ours.call(()).await.unwrap(), chosen.control.key);
            if ours.stats().endpoints.len() == 2 {
                break;
            }
        }
        assert_eq!(ours.stats().endpoints.len(), 2);
        assert_eq!(chosen.control.calls(), before);
    }

    let mut theirs = cache(&probes);
    let (first, _) = theirs.get_ready_index(0).unwrap();
    assert_eq!(*first, 1);
    theirs.evict(&1);
    let (first, _) = theirs.get_ready_index(0).unwrap();
    still(*first == 3, "a place is another endpoint's after a removal");
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_while_it_was_pending_is_dropped_without_anyones_help() {
    let probe = Probe::new(1, Readiness::Pending);
    let (_ours, discovery) = balance(seeded(), &[&probe]).await;
    discovery.send(probe.remove()).unwrap();
    settle().await;
    assert_eq!(probe.control.clones(), 1);

    let probes = [probe];
    let mut theirs = cache(&probes);
    assert!(theirs.evict(&1));
    sleep(Duration::from_secs(3600)).await;
    let is_kept = probes[0].control.clones() == 2;
    still(is_kept, "a removed service stays until somebody polls");
}

#[tokio::test(start_paused = true)]
async fn an_error_leaves_the_endpoint_in_the_set() {
    let probes = answering([0]);
    let (ours, _discovery) = balance(seeded(), &probes.each_ref()).await;
    probes[0].control.set(Readiness::Failed);
    let request = timeout(ms(11), ours.clone().oneshot(()));
    assert!(request.await.is_err());
    assert_eq!(ours.stats().endpoints.len(), 1);
    probes[0].control.set(Readiness::Ready);
    sleep(ms(211)).await;
    assert!(find(&ours, 1).ready);

    let mut theirs = cache(&probes);
    probes[0].control.set(Readiness::Failed);
    drop(theirs.call_ready(&1, ()));
    poll(&mut theirs);
    still(theirs.is_empty(), "an error removes the service");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_ready_for_the_next_request_without_another_poll() {
    let probes = answering([0]);
    let (mut ours, _discovery) = balance(seeded(), &probes.each_ref()).await;
    for _ in 0..10 {
        ours.call(()).await.unwrap();
        assert_eq!(ours.stats().ready, 1);
    }

    let mut theirs = cache(&probes);
    drop(theirs.call_ready(&1, ()));
    still(
        theirs.ready_len() == 0,
        "each call sends a service back to the pending",
    );
}

/// tower #415, which it has mended: tokio's budget made cancellations late, and the cache panicked.
#[tokio::test(start_paused = true)]
async fn replacing_endpoints_while_the_budget_of_the_task_is_spent_does_not_panic() {
    let semaphore = Arc::new(Semaphore::new(1000));
    let limited = Limited::new(Arc::clone(&semaphore));
    // Far more than one poll has budget for, over and over.
    let keys = (0..20_000_u32).map(|number| number % 300);
    let changes = keys.map(move |key| match key % 7 {
        0 => Change::Remove(key / 2),
        _ => Change::Insert(key, limited.clone()),
    });
    let changes: Vec<_> = changes.collect();
    let discovery = stream::iter(changes.clone()).map(Ok::<_, Refused>);
    let (mut ours, driver) = Balance::new(discovery.chain(stream::pending()));
    let driver = tokio::spawn(driver);
    for _ in 0..1000 {
        assert_eq!(send(&mut ours, 3, 3).await, 0);
        tokio::task::yield_now().await;
    }
    settle().await;
    assert!(!driver.is_finished());
    assert!(ours.stats().driver_running);
    assert_eq!(semaphore.available_permits(), 1000);

    let mut theirs = ReadyCache::<Key, Limited, ()>::default();
    for change in changes {
        match change {
            Change::Insert(key, limited) => theirs.push(key, limited),
            Change::Remove(key) => drop(theirs.evict(&key)),
            _ => {}
        }
        let _ = poll_fn(|cx| Poll::Ready(theirs.poll_pending(cx))).await;
    }
    assert!(theirs.len() > 200);
}

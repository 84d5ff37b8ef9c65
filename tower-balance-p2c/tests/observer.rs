//! What an observer is told, in order, and what one that panics may spoil.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt as _, Stream};
use support::{
    Item, Key, Pool, Probe, Refused, discovery, settle,
    traffic::{BADLY, BASE, WELL, answering_well, at_once, eject, is_ejected, seen},
};
use tokio::{sync::mpsc::UnboundedSender, time::sleep};
use tower::ServiceExt as _;
use tower_balance_p2c::{BalanceLayer, Ejection, Event, Observer};

/// Starts with a driver that has seen `probes`.
async fn pool(probes: &[&Probe], observer: impl Observer) -> (Pool, UnboundedSender<Item>) {
    let ejection = Ejection::new().requests_per_probe(u32::MAX);
    let builder = BalanceLayer::builder().seed(1).ejection(ejection);
    let layer = builder.observer(observer).build().unwrap();
    support::balance(layer, probes).await
}

/// Events as words.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for Told {
    fn event(&self, event: &Event<'_>) {
        let text = match event {
            Event::Inserted { endpoint } => format!("inserted {endpoint:?}"),
            Event::Removed { endpoint } => format!("removed {endpoint:?}"),
            Event::DiscoveryFailed { error } => format!("discovery failed: {error}"),
            Event::DiscoveryEnded => "discovery ended".to_owned(),
            Event::DiscoveryPanicked => "discovery panicked".to_owned(),
            Event::Ejected {
                endpoint,
                reason,
                duration,
            } => {
                assert!(*duration >= Duration::from_millis(800));
                format!("ejected {endpoint:?}: {reason}")
            }
            Event::Spared { endpoint, reason } => format!("spared {endpoint:?}: {reason}"),
            Event::Probed { endpoint } => format!("probed {endpoint:?}"),
            Event::Readmitted { endpoint } => format!("readmitted {endpoint:?}"),
            Event::Recovered { endpoint } => format!("recovered {endpoint:?}"),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(text);
    }
}

#[tokio::test(start_paused = true)]
async fn each_step_of_a_story_is_told_once_and_in_order() {
    let told = Told::default();
    let probes = answering_well::<2>();
    let (balance, discovery) = pool(&probes.each_ref(), told.clone()).await;
    assert_eq!(told.take(), ["inserted 1", "inserted 2"]);
    at_once(&balance, 40).await;
    assert!(told.take().is_empty());

    probes[0].control.answer(BADLY);
    for _ in 0..3 {
        let _ = at_once(&balance, 6).await;
    }
    assert_eq!(told.take(), ["ejected 1: 3 requests in a row failed"]);
    sleep(BASE).await;
    assert!(told.take().is_empty());
    assert!(balance.clone().oneshot(()).await.is_err());
    assert_eq!(told.take(), ["probed 1", "ejected 1: its probe failed"]);

    probes[0].control.answer(WELL);
    sleep(2 * BASE).await;
    for _ in 0..20 {
        at_once(&balance, 60).await;
    }
    assert_eq!(told.take(), ["probed 1", "readmitted 1", "recovered 1"]);

    eject(&balance, &probes[0]).await;
    told.take();
    probes[1].control.answer(BADLY);
    at_once(&balance, 3).await;
    assert_eq!(told.take(), ["spared 2: 3 requests in a row failed"]);

    discovery.send(Err(Refused(9))).unwrap();
    discovery.send(probes[1].insert()).unwrap();
    discovery.send(probes[0].remove()).unwrap();
    discovery.send(Probe::ready(7).remove()).unwrap();
    drop(discovery);
    settle().await;
    assert_eq!(
        told.take(),
        [
            "discovery failed: endpoint 9 refused",
            "inserted 2",
            "removed 1",
            "discovery ended",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn requests_that_say_nothing_new_are_not_told() {
    let told = Told::default();
    let probe = Probe::ready(1).answering(BADLY);
    let (balance, _discovery) = pool(&[&probe], told.clone()).await;
    for _ in 0..100 {
        assert_eq!(at_once(&balance, 10).await, 10);
    }
    // Of a thousand failures of an endpoint that may not be ejected.
    let told = told.take();
    assert!(told.len() < 100, "{} events, {:?}", told.len(), &told[..5]);
}

#[tokio::test(start_paused = true)]
async fn an_observer_may_look_at_the_statistics() {
    let looking: Arc<OnceLock<Pool>> = Arc::default();
    let looked = Arc::new(AtomicBool::new(false));
    let (balance, was) = (Arc::clone(&looking), Arc::clone(&looked));
    let observer = move |_: &Event<'_>| {
        if let Some(balance) = balance.get() {
            was.fetch_or(!balance.stats().endpoints.is_empty(), SeqCst);
        }
    };
    let probes = answering_well::<4>();
    let (balance, discovery) = pool(&probes.each_ref(), observer).await;
    assert!(looking.set(balance.clone()).is_ok());
    eject(&balance, &probes[0]).await;
    probes[0].control.answer(WELL);
    sleep(BASE).await;
    for _ in 0..20 {
        at_once(&balance, 60).await;
    }
    assert_eq!(balance.stats().ejected, 0);
    discovery.send(probes[1].remove()).unwrap();
    settle().await;
    assert!(looked.load(SeqCst));
}

/// Panics at one kind of event, as often as it is told to.
fn panicking(at: fn(&Event<'_>) -> bool) -> (Arc<AtomicBool>, impl Observer) {
    let armed = Arc::new(AtomicBool::new(true));
    let is_armed = Arc::clone(&armed);
    let observer = move |event: &Event<'_>| {
        assert!(!(is_armed.load(SeqCst) && at(event)), "by an observer");
    };
    (armed, observer)
}

/// Through an ejection, a probe and a recovery, and whatever panics. All must be in order after it.
async fn survives(at: fn(&Event<'_>) -> bool) {
    let (armed, observer) = panicking(at);
    let probes = answering_well::<4>();
    let (balance, discovery) = pool(&probes.each_ref(), observer).await;
    let send = async |key: Key| {
        let requests = (0..key).map(|_| {
            let request = AssertUnwindSafe(balance.clone().oneshot(()));
            request.catch_unwind()
        });
        futures::future::join_all(requests).await
    };
    probes[0].control.answer(BADLY);
    for _ in 0..20 {
        send(16).await;
    }
    assert!(is_ejected(&balance, 1));
    probes[0].control.answer(WELL);
    sleep(BASE).await;
    for _ in 0..20 {
        send(60).await;
        sleep(Duration::from_millis(53)).await;
    }
    armed.store(false, SeqCst);
    for _ in 0..20 {
        sleep(BASE).await;
        send(60).await;
    }
    let calls: usize = probes.iter().map(|probe| probe.control.calls()).sum();
    let stats = balance.stats();
    assert!(
        stats
            .endpoints
            .iter()
            .all(|endpoint| endpoint.in_flight == 0)
    );
    assert_eq!(stats.ejected, 0);
    assert_eq!(stats.picks, calls as u64);
    let requests = stats.endpoints.iter().map(|endpoint| endpoint.requests);
    assert_eq!(requests.sum::<u64>(), calls as u64);

    discovery.send(Probe::ready(5).insert()).unwrap();
    discovery.send(probes[1].remove()).unwrap();
    settle().await;
    assert_eq!(balance.stats().endpoints.len(), 4);
    assert!(seen(&balance, 5).ready);
}

#[tokio::test(start_paused = true)]
async fn a_panic_at_an_ejection_does_no_harm() {
    survives(|event| matches!(event, Event::Ejected { .. })).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_at_a_probe_does_no_harm() {
    survives(|event| matches!(event, Event::Probed { .. })).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_at_a_readmission_or_recovery_does_no_harm() {
    survives(|event| matches!(event, Event::Readmitted { .. })).await;
    survives(|event| matches!(event, Event::Recovered { .. })).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_at_a_change_of_the_set_does_not_end_discovery() {
    let (armed, observer) = panicking(|event| matches!(event, Event::Removed { .. }));
    let probes = answering_well::<4>();
    let (sender, stream) = discovery();
    for probe in &probes {
        sender.send(probe.insert()).unwrap();
    }
    let layer = BalanceLayer::builder().seed(1).observer(observer).build();
    let (balance, driver) = layer.unwrap().pair(stream);
    tokio::spawn(driver);
    settle().await;
    sender.send(probes[0].remove()).unwrap();
    settle().await;
    armed.store(false, SeqCst);
    assert!(balance.stats().driver_running);
    sender.send(probes[1].remove()).unwrap();
    settle().await;
    let keys: Vec<_> = balance.stats().endpoints.iter().map(|e| e.key).collect();
    assert_eq!(keys, [3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_discovery_that_panics_is_told_and_keeps_the_last_set() {
    struct Panicking(Vec<Item>);

    impl Stream for Panicking {
        type Item = Item;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Item>> {
            Poll::Ready(Some(self.0.pop().expect("a change is left")))
        }
    }

    impl Drop for Panicking {
        fn drop(&mut self) {
            panic!("in its drop too");
        }
    }

    let told = Told::default();
    let layer = BalanceLayer::<()>::builder().observer(told.clone()).build();
    let discovery = Panicking(vec![Probe::ready(1).insert()]);
    let (balance, driver) = layer.unwrap().pair(discovery);
    let driver = tokio::spawn(driver);
    settle().await;
    assert_eq!(told.take(), ["inserted 1", "discovery panicked"]);
    assert!(!driver.is_finished() && balance.stats().driver_running);
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
    assert!(told.take().is_empty());
}

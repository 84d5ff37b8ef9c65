//! Requests that would rather go elsewhere, and who is told where they went.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::sync::{Arc, Mutex};

use futures::stream;
use support::{
    Answer, Key, Probe, Readiness, Refused, discovery, settle,
    traffic::{BASE, WELL, answering_well, at_once, eject},
};
use tokio::{sync::mpsc::UnboundedSender, time::sleep};
use tower::ServiceExt as _;
use tower_balance_p2c::{
    AtResponse, Balance, BalanceLayer, Ejection, OkOrErr, Steer, error::NoEndpoint,
};

/// Avoids what it is told to, and writes down what it is told.
#[derive(Clone, Default)]
struct Steering {
    avoided: Arc<Mutex<Vec<Key>>>,
    told: Arc<Mutex<Vec<Told>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Sent(Key),
    Answered(Key),
}

impl Steer<Key, (), Key> for Steering {
    fn avoids(&self, (): &(), endpoint: &Key) -> bool {
        self.avoided.lock().unwrap().contains(endpoint)
    }

    fn sent(&self, (): &mut (), endpoint: &Key) {
        self.told.lock().unwrap().push(Told::Sent(*endpoint));
    }

    fn answered(&self, response: &mut Key, endpoint: &Key) {
        assert_eq!(response, endpoint);
        self.told.lock().unwrap().push(Told::Answered(*endpoint));
    }
}

impl Steering {
    fn avoid(&self, endpoints: &[Key]) {
        *self.avoided.lock().unwrap() = endpoints.to_vec();
    }

    fn told(&self) -> Vec<Told> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

type Pool = Balance<Key, Probe, (), OkOrErr, AtResponse, Steering>;

async fn pool(probes: &[&Probe]) -> (Pool, UnboundedSender<support::Item>, Steering) {
    let steering = Steering::default();
    let (sender, stream) = discovery();
    for probe in probes {
        sender.send(probe.insert()).unwrap();
    }
    let builder = BalanceLayer::builder().seed(1).ejection(Ejection::new());
    let layer = builder.steer(steering.clone()).build().unwrap();
    let (balance, driver) = layer.pair(stream);
    tokio::spawn(driver);
    settle().await;
    (balance, sender, steering)
}

#[tokio::test(start_paused = true)]
async fn a_request_goes_to_another_endpoint_than_the_ones_it_avoids() {
    let probes = answering_well::<4>();
    let (balance, _discovery, steering) = pool(&probes.each_ref()).await;
    steering.avoid(&[1, 3]);
    at_once(&balance, 100).await;
    assert_eq!(probes[0].control.calls() + probes[2].control.calls(), 0);
    // However busy the others are, as long as they are ready.
    steering.avoid(&[1, 2, 3]);
    at_once(&balance, 100).await;
    assert!(probes[3].control.calls() >= 100);
    assert_eq!(probes[0].control.calls() + probes[2].control.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn it_takes_one_that_it_avoids_where_there_is_no_other() {
    let probes = answering_well::<3>();
    let (balance, discovery, steering) = pool(&probes.each_ref()).await;
    steering.avoid(&[1, 2, 3]);
    assert_eq!(at_once(&balance, 10).await, 0);
    steering.avoid(&[1]);
    probes[1].control.set(Readiness::Pending);
    discovery.send(probes[2].remove()).unwrap();
    settle().await;
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
    probes[1].control.set(Readiness::Failed);
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
    assert_eq!(balance.stats().waits, 0);
}

#[tokio::test(start_paused = true)]
async fn it_takes_one_that_it_avoids_where_the_others_are_ejected() {
    let probes = answering_well::<2>();
    let (balance, _discovery, steering) = pool(&probes.each_ref()).await;
    eject(&balance, &probes[0]).await;
    steering.avoid(&[2]);
    for _ in 0..10 {
        assert_eq!(balance.clone().oneshot(()).await.unwrap(), 2);
    }
    assert!(!balance.stats().panicking);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_avoids_an_ejected_endpoint_is_not_its_probe() {
    let probes = answering_well::<4>();
    let (balance, _discovery, steering) = pool(&probes.each_ref()).await;
    eject(&balance, &probes[0]).await;
    sleep(BASE).await;
    probes[0].control.answer(WELL);
    steering.avoid(&[1]);
    assert_ne!(balance.clone().oneshot(()).await.unwrap(), 1);
    assert_eq!(balance.stats().probes, 0);
    steering.avoid(&[]);
    sleep(BASE).await;
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
    assert_eq!(balance.stats().probes, 1);
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_is_told_when_the_request_is_sent_and_when_it_is_answered() {
    let probes = answering_well::<3>();
    let (balance, _discovery, steering) = pool(&probes.each_ref()).await;
    for _ in 0..20 {
        let key = balance.clone().oneshot(()).await.unwrap();
        assert_eq!(steering.told(), [Told::Sent(key), Told::Answered(key)]);
    }
    // An error is nobody's response.
    steering.avoid(&[1, 3]);
    probes[1].control.answer(Answer::Err(Default::default()));
    let error = balance.clone().oneshot(()).await.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Refused(2)));
    assert_eq!(steering.told(), [Told::Sent(2)]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_of_endpoints_that_a_request_found_not_ready() {
    let probes = answering_well::<3>();
    let (balance, _discovery, steering) = pool(&probes.each_ref()).await;
    probes[0].control.set(Readiness::Pending);
    probes[1].control.set(Readiness::Failed);
    for _ in 0..10 {
        assert_eq!(balance.clone().oneshot(()).await.unwrap(), 3);
        assert_eq!(steering.told(), [Told::Sent(3), Told::Answered(3)]);
    }
    assert_eq!(balance.stats().repicks, 2);
    probes[2].control.set(Readiness::Failed);
    let error = balance.clone().oneshot(()).await.unwrap_err();
    assert!(error.is::<NoEndpoint>());
    assert_eq!(steering.told(), []);
}

#[tokio::test(start_paused = true)]
async fn without_a_driver_requests_go_elsewhere_too() {
    let probes = answering_well::<3>();
    let steering = Steering::default();
    let builder = BalanceLayer::builder().seed(2).steer(steering.clone());
    let inserts = stream::iter(probes.each_ref().map(Probe::insert));
    let (balance, driver) = builder.build().unwrap().pair(inserts);
    let driver = tokio::spawn(driver);
    settle().await;
    driver.abort();
    settle().await;
    steering.avoid(&[1, 2]);
    for _ in 0..30 {
        assert_eq!(balance.clone().oneshot(()).await.unwrap(), 3);
    }
}

/// It is asked while nobody holds what `stats` needs. On a thread of its own, to be given up.
#[test]
fn who_is_asked_may_look_at_the_statistics() {
    type Looked = Balance<Key, Probe, (), OkOrErr, AtResponse, Looking>;

    #[derive(Clone, Default)]
    struct Looking(Arc<Mutex<Option<Looked>>>);

    impl Steer<Key, (), Key> for Looking {
        fn avoids(&self, (): &(), _: &Key) -> bool {
            let balance = self.0.lock().unwrap().clone();
            balance.is_some_and(|balance| balance.stats().panicking)
        }
    }

    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let probes = answering_well::<4>();
            let looking = Looking::default();
            let builder = BalanceLayer::builder().seed(3).steer(looking.clone());
            let inserts = stream::iter(probes.each_ref().map(Probe::insert));
            let (balance, driver) = builder.build().unwrap().pair(inserts);
            tokio::spawn(driver);
            settle().await;
            *looking.0.lock().unwrap() = Some(balance.clone());
            eject(&balance, &probes[0]).await;
            probes[0].control.answer(WELL);
            sleep(BASE).await;
            balance.clone().oneshot(()).await.unwrap();
            assert_eq!(balance.stats().probes, 1);
        });
        done.send(()).unwrap();
    });
    let patience = std::time::Duration::from_secs(20);
    is_done.recv_timeout(patience).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_its_steer_panics_at_was_not_sent() {
    #[derive(Clone)]
    struct Panics;

    impl Steer<Key, (), Key> for Panics {
        fn sent(&self, (): &mut (), _: &Key) {
            panic!("for a test");
        }
    }

    let probe = Probe::ready(1);
    let layer = BalanceLayer::builder().steer(Panics).build();
    let (balance, driver) = layer.unwrap().pair(stream::iter([probe.insert()]));
    tokio::spawn(driver);
    settle().await;
    assert!(tokio::spawn(balance.clone().oneshot(())).await.is_err());
    let stats = balance.stats();
    assert_eq!((stats.picks, stats.endpoints[0].in_flight), (0, 0));
}

//! A balancer and a simple model of it go through the same random histories.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(unreachable_pub, reason = "a part of a test")]

mod reference;

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{Stream, channel::oneshot, stream};
use proptest::prelude::*;
use reference::{Key, MAX_EJECTED, Reference, Sent, State, WINDOW};
use tokio::sync::mpsc::{self, UnboundedSender};
use tower_balance_p2c::{Balance, BalanceLayer, BoxError, Change, Driver, Ejection, Event};
use tower_service::Service;

/// They never fail, so that failing is never usual.
const STEADY: [Key; 4] = [10, 11, 12, 13];
const UNSTEADY: Key = 3;

#[derive(Clone, Copy, Debug)]
enum Step {
    Insert(Key),
    Remove(Key),
    Send,
    /// Which of those under way, and whether it fails.
    Answer(usize, bool),
    Cancel(usize),
    Advance(Duration),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => (0..UNSTEADY).prop_map(Step::Insert),
        1 => (0..UNSTEADY).prop_map(Step::Remove),
        20 => Just(Step::Send),
        12 => (any::<usize>(), prop::bool::weighted(0.6)).prop_map(|(which, is_failure)| {
            Step::Answer(which, is_failure)
        }),
        2 => any::<usize>().prop_map(Step::Cancel),
        4 => (1..3_000_003_u64).prop_map(|micros| Step::Advance(Duration::from_micros(micros))),
        8 => (1..20_003_u64).prop_map(|micros| Step::Advance(Duration::from_micros(micros))),
    ];
    prop::collection::vec(step, 1..400)
}

/// An endpoint that leaves what it is asked on the desk.
#[derive(Clone)]
struct Endpoint {
    key: Key,
    instance: usize,
    desk: Desk,
}

type Desk = Arc<Mutex<VecDeque<(Key, usize, oneshot::Sender<bool>)>>>;

impl Service<()> for Endpoint {
    type Response = ();
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<(), BoxError>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        let (sender, is_failure) = oneshot::channel();
        let asked = (self.key, self.instance, sender);
        self.desk.lock().unwrap().push_back(asked);
        Box::pin(async move {
            let is_failure = is_failure.await.unwrap();
            if is_failure {
                Err("failed".into())
            } else {
                Ok(())
            }
        })
    }
}

struct UnderWay {
    sent: Sent,
    end: oneshot::Sender<bool>,
    response: Pin<Box<dyn Future<Output = Result<(), BoxError>>>>,
}

type Changes = Result<Change<Key, Endpoint>, Infallible>;
type Discovery = Pin<Box<dyn Stream<Item = Changes>>>;

struct World {
    balance: Balance<Key, Endpoint, ()>,
    driver: Pin<Box<Driver<Discovery, Key, Endpoint, ()>>>,
    discovery: UnboundedSender<Changes>,
    desk: Desk,
    /// Who was ejected and for how long.
    ejected: Arc<Mutex<Vec<(String, Duration)>>>,
    under_way: Vec<UnderWay>,
    model: Reference,
    instances: usize,
    probes: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let ejected = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&ejected);
        let ejection = Ejection::new().window(WINDOW).min_requests(u32::MAX);
        let builder = BalanceLayer::builder().seed(seed);
        // So that no silence is ever old.
        let builder = builder.decay(Duration::from_secs(86_400));
        let builder = builder.ejection(ejection.max_ejected(MAX_EJECTED).panic(0.0));
        let builder = builder.observer(move |event: &Event<'_>| {
            if let Event::Ejected {
                endpoint, duration, ..
            } = event
            {
                told.lock()
                    .unwrap()
                    .push((format!("{endpoint:?}"), *duration));
            }
        });
        let (discovery, mut changes) = mpsc::unbounded_channel();
        let changes: Discovery = Box::pin(stream::poll_fn(move |cx| changes.poll_recv(cx)));
        let (balance, driver) = builder.build().unwrap().pair(changes);
        Self {
            balance,
            driver: Box::pin(driver),
            discovery,
            desk: Desk::default(),
            ejected,
            under_way: Vec::new(),
            model: Reference::default(),
            instances: 0,
            probes: 0,
        }
    }

    /// The steady ones are established: each has answered.
    async fn establish(&mut self) {
        self.step(Step::Advance(Duration::from_micros(7003))).await;
        for key in STEADY {
            self.step(Step::Insert(key)).await;
        }
        for _ in 0..20 {
            self.step(Step::Send).await;
        }
        self.step(Step::Advance(Duration::from_micros(10_003)))
            .await;
        while !self.under_way.is_empty() {
            self.step(Step::Answer(0, false)).await;
        }
        assert!(
            self.model
                .members
                .values()
                .all(|member| member.requests > 0)
        );
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Insert(key) => {
                self.instances += 1;
                let endpoint = Endpoint {
                    key,
                    instance: self.instances,
                    desk: Arc::clone(&self.desk),
                };
                self.model.insert(key, self.instances);
                self.change(Change::Insert(key, endpoint));
            }
            Step::Remove(key) => {
                self.model.members.remove(&key);
                self.change(Change::Remove(key));
            }
            Step::Send => self.send(),
            Step::Answer(which, is_failure) => {
                if let Some(request) = self.take(which) {
                    self.answer(request, is_failure);
                }
            }
            Step::Cancel(which) => {
                if let Some(request) = self.take(which) {
                    drop(request.response);
                    self.model.cancelled(request.sent);
                }
            }
            Step::Advance(time) => {
                tokio::time::advance(time).await;
                self.model.now += time;
            }
        }
        let ejected = self.ejected.lock().unwrap();
        assert!(
            ejected.is_empty(),
            "{ejected:?} was not to be ejected: {:?}",
            self.model
        );
        drop(ejected);
        self.model.check(&self.balance.stats().endpoints);
    }

    fn change(&mut self, change: Change<Key, Endpoint>) {
        self.discovery.send(Ok(change)).unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(self.driver.as_mut().poll(&mut cx).is_pending());
    }

    fn take(&mut self, which: usize) -> Option<UnderWay> {
        let count = self.under_way.len();
        (count > 0).then(|| self.under_way.remove(which % count))
    }

    fn send(&mut self) {
        let mut response: Pin<Box<dyn Future<Output = _>>> = Box::pin(self.balance.call(()));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(response.as_mut().poll(&mut cx).is_pending());
        let (key, instance, end) = self.desk.lock().unwrap().pop_front().unwrap();
        let probes = self.balance.stats().probes;
        let sent = self.model.sent(key, instance, probes > self.probes);
        self.probes = probes;
        self.under_way.push(UnderWay {
            sent,
            end,
            response,
        });
    }

    fn answer(&mut self, mut request: UnderWay, is_failure: bool) {
        let is_failure = is_failure && !STEADY.contains(&request.sent.key);
        request.end.send(is_failure).unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(result) = request.response.as_mut().poll(&mut cx) else {
            panic!("it has an answer");
        };
        assert_eq!(result.is_err(), is_failure);
        if self.model.answered(request.sent, is_failure) {
            let (key, duration) = self.ejected.lock().unwrap().pop().unwrap();
            assert_eq!(key, request.sent.key.to_string());
            assert!(duration >= Duration::from_millis(800));
            self.model.ejected_for(request.sent.key, duration);
        }
    }
}

fn in_virtual_time<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 600,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_known_is_what_has_happened(seed: u64, steps in steps()) {
        in_virtual_time(async {
            let mut world = World::new(seed);
            world.establish().await;
            for step in steps {
                world.step(step).await;
            }
            while !world.under_way.is_empty() {
                world.step(Step::Answer(0, false)).await;
            }
            let endpoints = world.balance.stats().endpoints;
            assert!(endpoints.iter().all(|endpoint| endpoint.in_flight == 0));
        });
    }
}

/// Histories that are mostly about one endpoint must have come to all of its states.
#[test]
fn histories_come_to_every_state() {
    in_virtual_time(async {
        let mut world = World::new(1);
        world.establish().await;
        world.step(Step::Insert(0)).await;
        let (mut states, mut fails) = ([false; 4], true);
        for step in 0..4000 {
            world.step(Step::Send).await;
            world.step(Step::Advance(Duration::from_micros(1003))).await;
            if world.under_way.len() > 40 {
                world.step(Step::Answer(step, fails)).await;
            }
            let state = match world.model.members[&0].state {
                State::Admitted => 0,
                State::Ejected(_) => 1,
                State::Probing(_) => 2,
                State::Probation { .. } => 3,
            };
            states[state] = true;
            fails &= state == 0;
        }
        assert_eq!(states, [true; 4]);
        assert_eq!(world.model.members[&0].state, State::Admitted);
    });
}

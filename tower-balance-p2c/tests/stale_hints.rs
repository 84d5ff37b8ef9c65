//! However many endpoints seem ready and are not, a request ends: with the one that it holds, or
//! with the bound.

mod support;

use std::{
    convert::Infallible,
    future::{Future, Ready, poll_fn, ready},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready as ready_or_return},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use support::{Probe, Readiness, Refused, balance, settle, waiting};
use tokio::{
    task::coop,
    time::{Instant, Sleep, advance, sleep},
};
use tokio_test::task;
use tower_balance_p2c::{Balance, BalanceLayer, BoxError, Change, error::NoEndpoint};
use tower_service::Service;

const ENDPOINTS: u32 = 400;
const MOST_PICKS_IN_A_POLL: u64 = 16;
const STEP: Duration = Duration::from_micros(1003);

/// Every fresh clone is ready 2 ms after its first poll.
#[derive(Default)]
struct Late {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Clone for Late {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<()> for Late {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep(Duration::from_millis(2))));
        ready_or_return!(sleep.as_mut().poll(cx));
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

/// Ready for the driver, and not ready for requests while `refusing`.
#[derive(Clone)]
struct Fickle {
    refusing: Arc<AtomicBool>,
}

impl Service<()> for Fickle {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.refusing.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

/// A balancer over clones of `service` whose driver has found all of them ready.
async fn many<S>(layer: BalanceLayer<()>, service: S) -> Balance<u32, S, ()>
where
    S: Service<(), Error = Infallible> + Clone + Send + Sync + 'static,
{
    let inserts =
        (0..ENDPOINTS).map(move |key| Ok::<_, Infallible>(Change::Insert(key, service.clone())));
    let (balance, driver) = layer.pair(stream::iter(inserts).chain(stream::pending()));
    tokio::spawn(driver);
    settle().await;
    sleep(Duration::from_millis(11)).await;
    settle().await;
    assert_eq!(balance.stats().ready, ENDPOINTS as usize);
    balance
}

fn waited(result: Result<(), BoxError>) -> Duration {
    let error = result.expect_err("no endpoint was ready");
    error
        .downcast_ref::<NoEndpoint>()
        .map_or_else(|| panic!("another error: {error}"), NoEndpoint::waited)
}

#[tokio::test(start_paused = true)]
async fn clones_that_are_ready_a_little_later_are_waited_for() {
    let mut balance = many(waiting(Duration::from_millis(51)), Late::default()).await;
    let mut request = task::spawn(balance.call(()));
    let begun = Instant::now();
    for polls in 1..=10 {
        if let Poll::Ready(result) = request.poll() {
            assert!(result.is_ok(), "{result:?}");
            assert!(Instant::now() - begun < Duration::from_millis(5));
            assert!(balance.stats().repicks <= polls * MOST_PICKS_IN_A_POLL);
            return;
        }
        settle().await;
        advance(STEP).await;
        settle().await;
    }
    panic!("no answer after {:?}", balance.stats().repicks);
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_seem_ready_for_ever_do_not_extend_the_bound() {
    for wait in [Duration::ZERO, Duration::from_millis(5)] {
        let refusing = Arc::new(AtomicBool::new(false));
        let service = Fickle {
            refusing: Arc::clone(&refusing),
        };
        let mut balance = many(waiting(wait), service).await;
        let mut request = task::spawn(balance.call(()));
        let mut ended = None;
        for polls in 1..=10 {
            refusing.store(true, Ordering::SeqCst);
            let polled = request.poll();
            refusing.store(false, Ordering::SeqCst);
            assert!(balance.stats().repicks <= polls * MOST_PICKS_IN_A_POLL);
            if let Poll::Ready(result) = polled {
                ended = Some(waited(result.map(drop)));
                break;
            }
            assert!(request.is_woken());
            settle().await;
            advance(STEP).await;
        }
        let ended = ended.expect("the request should have ended");
        assert!(ended >= wait && ended <= wait + 2 * STEP, "{ended:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ready_endpoint_is_found_behind_many_that_only_seem_so() {
    let probes: Vec<_> = (0..ENDPOINTS).map(Probe::ready).collect();
    let borrowed: Vec<_> = probes.iter().collect();
    let (mut balance, _discovery) = balance(BalanceLayer::new(), &borrowed).await;
    for _ in 0..10 {
        settle().await;
    }
    assert_eq!(balance.stats().ready, ENDPOINTS as usize);
    for probe in &probes[1..] {
        probe.control.set(Readiness::Pending);
    }
    let mut request = task::spawn(balance.call(()));
    // Nothing but its own wakes helps it: the driver does not run meanwhile.
    for _ in 0..=u64::from(ENDPOINTS) / MOST_PICKS_IN_A_POLL {
        match request.poll() {
            Poll::Ready(answer) => {
                assert_eq!(answer.ok(), Some(0));
                return;
            }
            Poll::Pending => assert!(request.is_woken()),
        }
    }
    panic!("not found");
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_always_spent_does_not_extend_the_bound() {
    let wait = Duration::from_millis(5);
    let semaphore = Arc::new(tokio::sync::Semaphore::new(1000));
    let service = support::permits::Limited::new(semaphore);
    let mut balance = many(waiting(wait), service).await;
    let mut request = pin!(balance.call(()));
    for _ in 0..10 {
        let polled = poll_fn(|cx| {
            while coop::has_budget_remaining() {
                let _ = pin!(coop::consume_budget()).poll(cx);
            }
            Poll::Ready(request.as_mut().poll(cx))
        });
        if let Poll::Ready(result) = polled.await {
            let ended = waited(result.map(drop));
            assert!(ended >= wait && ended <= wait + 2 * STEP, "{ended:?}");
            return;
        }
        advance(STEP).await;
    }
    panic!("the request should have ended");
}

#[tokio::test(start_paused = true)]
async fn without_a_wait_a_spent_budget_is_no_reason_to_fail() {
    let semaphore = Arc::new(tokio::sync::Semaphore::new(1000));
    let service = support::permits::Limited::new(semaphore);
    let changes = (0..4).map(move |key| Ok::<_, Refused>(Change::Insert(key, service.clone())));
    let (mut balance, driver) = waiting(Duration::ZERO).pair(stream::iter(changes));
    tokio::spawn(driver);
    settle().await;
    for _ in 0..1000 {
        let answer = balance.call(()).await;
        assert!(answer.is_ok(), "{answer:?}");
    }
}

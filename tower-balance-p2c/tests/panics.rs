//! An endpoint that panics does not attract requests, and takes nobody with it.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
    thread,
};

use futures::StreamExt as _;
use tower::ServiceExt as _;
use tower_balance_p2c::{Balance, Change};
use tower_service::Service;

/// One of five, which panics at one place.
#[derive(Clone)]
struct Panics {
    key: u32,
    place: Arc<AtomicU8>,
}

impl Panics {
    fn at(&self, place: u8) {
        if self.key == 1 && self.place.load(Ordering::SeqCst) == place && !thread::panicking() {
            panic!("at {place}");
        }
    }
}

impl Service<()> for Panics {
    type Response = u32;
    type Error = Infallible;
    type Future = futures::future::Either<Ready<Result<u32, Infallible>>, Later>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.at(READY);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        self.at(CALL);
        if self.key == 1 && self.place.load(Ordering::SeqCst) == FUTURE {
            return futures::future::Either::Right(Later);
        }
        futures::future::Either::Left(ready(Ok(self.key)))
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        self.at(DROP);
    }
}

/// A response that panics.
struct Later;

impl Future for Later {
    type Output = Result<u32, Infallible>;

    fn poll(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        panic!("at the answer");
    }
}

/// Returns how many of 4,000 requests panic once an endpoint does so.
async fn panicked(place: u8) -> (usize, u64) {
    let now = Arc::new(AtomicU8::new(0));
    let set: Vec<_> = (1..=5)
        .map(|key| {
            let place = Arc::clone(&now);
            Ok::<_, Infallible>(Change::Insert(key, Panics { key, place }))
        })
        .collect();
    let discovery = futures::stream::iter(set).chain(futures::stream::pending());
    let (balance, driver) = Balance::<u32, Panics, ()>::new(discovery);
    tokio::spawn(driver);
    for _ in 0..100 {
        balance.clone().oneshot(()).await.unwrap();
    }
    now.store(place, Ordering::SeqCst);
    let mut panicked = 0;
    for _ in 0..500 {
        let requests: Vec<_> = (0..8)
            .map(|_| tokio::spawn(balance.clone().oneshot(())))
            .collect();
        for request in requests {
            panicked += usize::from(request.await.is_err());
        }
    }
    let stats = balance.stats();
    assert!(stats.driver_running);
    assert!(
        stats
            .endpoints
            .iter()
            .all(|endpoint| endpoint.in_flight == 0)
    );
    let failures = stats.endpoints.iter().find(|endpoint| endpoint.key == 1);
    (panicked, failures.unwrap().failures)
}

#[tokio::test(start_paused = true)]
async fn one_that_panics_when_it_is_called_is_ejected() {
    let (panicked, failures) = panicked(CALL).await;
    assert!((1..40).contains(&panicked), "{panicked}");
    assert_eq!(failures, panicked as u64);
}

#[tokio::test(start_paused = true)]
async fn one_whose_response_panics_is_ejected() {
    let (panicked, failures) = panicked(FUTURE).await;
    assert!((1..40).contains(&panicked), "{panicked}");
    assert_eq!(failures, panicked as u64);
}

#[tokio::test(start_paused = true)]
async fn one_that_panics_when_it_is_asked_is_down() {
    let (panicked, _) = panicked(READY).await;
    assert!((1..40).contains(&panicked), "{panicked}");
}

#[tokio::test(start_paused = true)]
async fn a_drop_that_panics_leaves_the_driver_alone() {
    let place = Arc::new(AtomicU8::new(DROP));
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let discovery = futures::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    let (balance, driver) = Balance::<u32, Panics, ()>::new(discovery);
    tokio::spawn(driver);
    for key in [2, 1, 3] {
        let place = Arc::clone(&place);
        let change = Change::Insert(key, Panics { key, place });
        sender.send(Ok::<_, Infallible>(change)).unwrap();
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
    let stats = balance.stats();
    assert!(stats.driver_running);
    assert_eq!(stats.endpoints.len(), 3);
    place.store(0, Ordering::SeqCst);
}

const READY: u8 = 1;
const CALL: u8 = 2;
const FUTURE: u8 = 3;
const DROP: u8 = 4;

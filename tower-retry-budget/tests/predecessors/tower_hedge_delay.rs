//! `tower::hedge`: what the delay is learnt from.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, advance},
};
use tokio_test::task;
use tower::{Layer, Service, ServiceExt, hedge};
use tower_retry_budget::{OnError, hedge::HedgeLayer};

use crate::{
    backend::{Backend, MS, builder, layer, send, tokens},
    theirs::still,
    tower_hedge::{Always, Theirs, send_theirs},
};

const PERIOD: Duration = Duration::from_secs(10);

/// Of a hundred requests, 93 take 10 ms, four 30 ms, and three a second. So 95 % take 30 ms.
fn latency(number: u64) -> Duration {
    MS * match number * 37 % 100 {
        0..3 => 1000,
        3..7 => 30,
        _ => 10,
    }
}

/// Hedges are answered after 5 ms.
const HEDGED: Duration = Duration::from_millis(5);

/// How long the service waits with its hedge.
async fn delay_of(backend: &Backend, send: impl Future<Output = &'static str>) -> Duration {
    backend.will_answer([(10 * PERIOD, Ok("first")), (Duration::ZERO, Ok("second"))]);
    let begun = Instant::now();
    assert_eq!(send.await, "second");
    Instant::now() - begun
}

#[tokio::test(start_paused = true)]
async fn losers_count_among_those_that_took_longer() {
    let [mine, yours] = [Backend::default(), Backend::default()];
    let mut ours = layer(&tokens(10_000)).layer(mine.instance());
    let mut theirs: Theirs = hedge::Hedge::new(yours.instance(), Always, 10, 0.95, PERIOD);
    for backend in [&mine, &yours] {
        backend.usually_takes(HEDGED);
    }
    for number in 0..2000 {
        for backend in [&mine, &yours] {
            backend.will_answer([(latency(number), Ok("first"))]);
        }
        send(&mut ours).await.unwrap();
        send_theirs(&mut theirs).await.unwrap();
    }
    let delay = delay_of(&mine, async { send(&mut ours).await.unwrap() }).await;
    assert!((30 * MS..=33 * MS).contains(&delay), "{delay:?}");
    let delay = delay_of(&yours, async { send_theirs(&mut theirs).await.unwrap() }).await;
    still(
        delay < 15 * MS,
        "what a hedge has hidden is not counted, so that the delay comes out too short",
    );
}

#[tokio::test(start_paused = true)]
async fn a_quick_failure_is_no_answer() {
    let [mine, yours] = [Backend::default(), Backend::default()];
    let layer = builder(&tokens(5)).min_samples(3).build().unwrap();
    let mut ours = layer.layer(mine.instance());
    let mut theirs: Theirs = hedge::Hedge::new(yours.instance(), Always, 3, 0.95, PERIOD);
    for backend in [&mine, &yours] {
        backend.will_answer((0..10).map(|_| (MS, Ok("bad"))));
    }
    for number in 0..10 {
        // What is learnt shows after a while.
        advance(MS * 100 * (number % 2)).await;
        send(&mut ours).await.unwrap();
        send_theirs(&mut theirs).await.unwrap();
    }
    assert_eq!(layer.stats().delay, None);
    advance(PERIOD).await;
    let delay = delay_of(&yours, async { send_theirs(&mut theirs).await.unwrap() }).await;
    still(delay < 3 * MS, "it learns from failures that are an `Ok`");
}

/// Answers when it is told to.
#[derive(Clone, Default)]
struct Told {
    calls: Arc<Mutex<Vec<oneshot::Sender<&'static str>>>>,
}

impl Told {
    fn calls(&self) -> MutexGuard<'_, Vec<oneshot::Sender<&'static str>>> {
        self.calls.lock().unwrap()
    }

    /// Serves requests that each take 1.15 ms, and says how long the next one waits with its hedge.
    /// That one begins between two ticks of tokio's timer, which is not finer than a millisecond,
    /// so that it shows whether the delay was rounded before.
    async fn delay<S: Service<()>>(&self, mut service: S) -> Duration {
        for number in 0..21 {
            if number == 20 {
                advance(900 * MS).await;
            }
            let mut request = task::spawn(service.ready().await.ok().unwrap().call(()));
            assert!(request.poll().is_pending());
            advance(Duration::from_micros(1150)).await;
            self.calls().remove(0).send("fine").unwrap();
            assert!(request.await.is_ok());
        }
        advance(Duration::from_micros(100_450)).await;
        let mut request = task::spawn(service.ready().await.ok().unwrap().call(()));
        for steps in 0..100 {
            assert!(request.poll().is_pending());
            if self.calls().len() == 2 {
                return steps * STEP;
            }
            advance(STEP).await;
        }
        panic!("no hedge");
    }
}

const STEP: Duration = Duration::from_micros(50);

impl Service<()> for Told {
    type Response = &'static str;
    type Error = oneshot::error::RecvError;
    type Future = oneshot::Receiver<&'static str>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        let (answer, response) = oneshot::channel();
        self.calls().push(answer);
        response
    }
}

#[tokio::test(start_paused = true)]
async fn the_delay_is_not_rounded_up_to_a_millisecond() {
    let told = Told::default();
    let layer = HedgeLayer::builder(tokens(5), OnError).min_samples(10);
    let ours = layer.build().unwrap().layer(told.clone());
    let delay = told.delay(ours).await;
    assert!(delay < Duration::from_micros(1500), "{delay:?}");

    let told = Told::default();
    let theirs = hedge::Hedge::new(told.clone(), Always, 10, 0.95, Duration::from_secs(1));
    let delay = told.delay(theirs).await;
    still(delay > 2 * MS, "latencies are rounded up to milliseconds");
}

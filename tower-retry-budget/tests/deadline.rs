//! No attempt is sent that cannot end before the deadline of its request.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, advance, timeout};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, ServiceExt, service_fn};
use tower_retry_budget::{Budget, Policy, Replay, RetryLayer, RetryStats, Verdict};
use tower_service::Service;

mod support;

use support::{Answer, Failure, Readiness, World, at_once, tokens, within};

const SECOND: Duration = Duration::from_secs(1);

/// A request that is of use until then.
type Until = Option<Instant>;

fn layer(
    budget: &Budget,
    base: Duration,
) -> RetryLayer<impl Policy<Until, &'static str, Failure> + use<>> {
    RetryLayer::builder(budget.clone())
        .backoff(within(base, base))
        .deadline(|until: &Until| *until)
        .build()
        .expect("valid")
}

fn after(duration: Duration) -> Until {
    Some(Instant::now() + duration)
}

fn assert_not_paid(budget: &Budget, stats: RetryStats) {
    assert_eq!((stats.retries, stats.past_deadline), (0, 1));
    assert_eq!(budget.stats().withdrawn, 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_not_lost_to_a_wait_beyond_the_deadline() {
    let budget = tokens(20);
    let policy = |_: Result<&&'static str, &Failure>| Verdict::retry().after(9 * SECOND);
    let layer = RetryLayer::builder(budget.clone()).policy(policy);
    let layer = layer.deadline(|until: &Until| *until).build().unwrap();
    let world = World::answering([Answer::Ok("busy"), Answer::Ok("fine")]);
    // As a layer above would end it at its deadline.
    let response = layer.layer(world.probe()).oneshot(after(2 * SECOND));
    let start = Instant::now();
    assert_eq!(timeout(2 * SECOND, response).await.unwrap(), Ok("busy"));
    assert_eq!(Instant::now(), start, "nor is it held back");
    assert_not_paid(&budget, layer.stats());
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_sent_if_its_wait_ends_in_time_and_not_otherwise() {
    // The wait is at least half a minute, and at the most a whole one.
    for (until, expected) in [(29, Err(Failure("reset"))), (62, Ok("fine"))] {
        let budget = tokens(20);
        let layer = layer(&budget, 60 * SECOND);
        let world = World::answering([Answer::Err("reset"), Answer::Ok("fine")]);
        let response = layer.layer(world.probe()).oneshot(after(until * SECOND));
        assert_eq!(response.await, expected);
        let retried = u64::from(expected.is_ok());
        assert_eq!(layer.stats().retries, retried);
        assert_eq!(budget.stats().withdrawn, retried);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_nothing_is_held_back() {
    let layer = layer(&tokens(20), 60 * SECOND);
    let world = World::answering([Answer::Err("reset"), Answer::Ok("fine")]);
    let response = layer.layer(world.probe()).oneshot(None);
    assert_eq!(response.await, Ok("fine"));
}

#[tokio::test(start_paused = true)]
async fn the_answer_comes_before_the_deadline_though_the_service_is_not_ready() {
    let budget = tokens(20);
    let layer = layer(&budget, Duration::ZERO);
    let world = World::answering([Answer::Err("reset")]);
    world.then_ready([Readiness::Ready]);
    world.then_ready(vec![Readiness::Pending; 16]);
    let limit = Duration::from_micros(300_003);
    let start = Instant::now();
    let response = layer.layer(world.probe()).oneshot(after(limit));
    assert_eq!(response.await, Err(Failure("reset")));
    let took = Instant::now().duration_since(start);
    assert!(took < limit && took > limit / 2, "{took:?}");
    let stats = layer.stats();
    assert_eq!((stats.past_deadline, stats.not_ready), (1, 0));
    assert_eq!(budget.stats().balance, 20.0, "refunded");
}

#[tokio::test(start_paused = true)]
async fn what_becomes_ready_too_late_is_not_called_and_holds_nothing() {
    let budget = tokens(20);
    let layer = layer(&budget, Duration::ZERO);
    let world = World::answering([Answer::Err("reset"), Answer::Ok("fine")]);
    world.then_ready([Readiness::Ready, Readiness::Pending]);
    let mut service = layer.layer(world.probe());
    std::future::poll_fn(|cx| service.poll_ready(cx))
        .await
        .unwrap();
    let mut response = task::spawn(service.call(after(SECOND)));
    assert_pending!(response.poll());
    advance(2 * SECOND).await;
    world.wake();
    assert_eq!(assert_ready!(response.poll()), Err(Failure("reset")));
    assert_eq!(world.calls().len(), 1);
    assert_eq!(world.reserved(), 0);
    assert_eq!(layer.stats().past_deadline, 1);
    assert_eq!(budget.stats().balance, 20.0);
}

/// Answers after so long.
#[derive(Clone)]
struct Slow(Duration, &'static str);

impl Service<Until> for Slow {
    type Response = &'static str;
    type Error = Failure;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<&'static str, Failure>> + Send>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Failure>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Until) -> Self::Future {
        let Self(latency, answer) = *self;
        Box::pin(async move {
            tokio::time::sleep(latency).await;
            match answer {
                "reset" => Err(Failure("reset")),
                answer => Ok(answer),
            }
        })
    }
}

async fn through<P, R>(
    layer: &RetryLayer<P, R>,
    slow: Slow,
    deadline: Duration,
) -> Result<&'static str, Failure>
where
    P: Policy<Until, &'static str, Failure>,
    R: Replay<Until, Request = Until>,
{
    layer.layer(slow).oneshot(after(deadline)).await
}

#[tokio::test(start_paused = true)]
async fn no_attempt_starts_that_cannot_end() {
    let budget = tokens(20);
    let builder = RetryLayer::builder(budget.clone()).backoff(at_once());
    let layer = builder.attempts(2).deadline(|until: &Until| *until);
    let layer = layer.build().unwrap();
    let millis = Duration::from_millis;
    let reset = || Slow(millis(50), "reset");

    // Nothing is known yet: an attempt is worth a try.
    let _ = through(&layer, reset(), millis(80)).await;
    assert_eq!((layer.stats().retries, layer.stats().past_deadline), (1, 0));

    // A success takes 40 ms, and there are 30 left after the first attempt. Failures say nothing.
    let fine = Slow(millis(40), "fine");
    assert_eq!(through(&layer, fine, SECOND).await, Ok("fine"));
    let _ = through(&layer, Slow(millis(1), "reset"), SECOND).await;
    let before = layer.stats().retries;
    assert_eq!(
        through(&layer, reset(), millis(80)).await,
        Err(Failure("reset"))
    );
    let stats = layer.stats();
    assert_eq!((stats.retries, stats.past_deadline), (before, 1));
    let _ = through(&layer, reset(), millis(120)).await;
    assert_eq!(layer.stats().retries, before + 1, "70 ms are enough");

    // What was learnt is forgotten.
    advance(Duration::from_micros(20_000_003)).await;
    let _ = through(&layer, reset(), millis(80)).await;
    assert_eq!(layer.stats().retries, before + 2);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_success_is_that_of_its_own_attempt() {
    let millis = Duration::from_millis;
    let builder = RetryLayer::builder(tokens(20)).backoff(at_once());
    let builder = builder.attempts(2).deadline(|until: &Until| *until);
    let layer = builder.build().unwrap();
    let answers = Arc::new(Mutex::new(vec!["fine", "reset"]));
    let service = service_fn(move |_: Until| {
        let answer = answers.lock().unwrap().pop().unwrap_or("reset");
        Slow(millis(40), answer).call(None)
    });
    let service = layer.layer(service);
    assert_eq!(service.clone().oneshot(after(SECOND)).await, Ok("fine"));
    // After an attempt there are 60 ms left: enough for one, and not for two.
    let _ = service.oneshot(after(millis(100))).await;
    assert_eq!((layer.stats().retries, layer.stats().past_deadline), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn of_a_deadline_of_the_policy_and_one_of_the_builder_the_earlier_counts() {
    struct Known(Duration);

    impl Policy<Until, &'static str, Failure> for Known {
        fn deadline(&self, _: &Until) -> Option<Instant> {
            after(self.0)
        }

        fn classify(&self, result: Result<&&'static str, &Failure>) -> Verdict {
            result.map_or(Verdict::retry(), |_| Verdict::Success)
        }
    }

    for (own, other, retried) in [(9, 1, 0), (1, 9, 0), (9, 9, 1)] {
        let builder = RetryLayer::builder(tokens(20)).backoff(within(4 * SECOND, 4 * SECOND));
        let builder = builder.policy(Known(own * SECOND));
        let layer = builder.deadline(|until: &Until| *until).build().unwrap();
        let world = World::answering([Answer::Err("reset"), Answer::Ok("fine")]);
        let _ = layer
            .layer(world.probe())
            .oneshot(after(other * SECOND))
            .await;
        assert_eq!(layer.stats().retries, retried, "{own} {other}");
    }
}

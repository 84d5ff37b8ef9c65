//! What is retried, what is not, and what it costs.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};
use tower_retry_budget::{
    Backoff, Budget, OnError, Policy, Replay, Retry, RetryLayer, RetryStats, Verdict,
};

mod support;

use support::{Answer, Failure, Probe, Request, World, at_once, spent, tokens, within};

/// Says whether requests may be retried, and judges by the text of the outcome.
#[derive(Clone, Copy, Debug)]
struct ByText {
    retryable: bool,
}

impl Policy<Request, &'static str, Failure> for ByText {
    fn retryable(&self, _request: &Request) -> bool {
        self.retryable
    }

    fn classify(&self, result: Result<&&'static str, &Failure>) -> Verdict {
        match result {
            Ok(&"busy") | Err(Failure("reset")) => Verdict::Retry { after: None },
            Ok(&"wait") => Verdict::Retry {
                after: Some(Duration::from_secs(3)),
            },
            Ok(&"bad") | Err(_) => Verdict::Failure,
            Ok(_) => Verdict::Success,
        }
    }
}

fn layer(budget: &Budget, attempts: u32, retryable: bool) -> RetryLayer<ByText> {
    let builder = RetryLayer::builder(budget.clone()).policy(ByText { retryable });
    builder
        .attempts(attempts)
        .backoff(at_once())
        .build()
        .expect("valid")
}

async fn send<P, R>(service: &mut Retry<Probe, P, R>) -> (Result<&'static str, Failure>, usize)
where
    P: Policy<Request, &'static str, Failure>,
    R: Replay<Request>,
{
    let (request, clones) = Request::counted();
    let service = ServiceExt::<Request>::ready(service).await.expect("ready");
    (service.call(request).await, clones.load(Relaxed))
}

#[tokio::test(start_paused = true)]
async fn a_response_or_an_error_is_retried_until_it_succeeds() {
    let budget = spent(0.5, 20);
    (0..8).for_each(|_| budget.deposit());
    let layer = layer(&budget, 3, true);
    let world = World::answering([Answer::Ok("busy"), Answer::Err("reset"), Answer::Ok("fine")]);
    let (result, clones) = send(&mut layer.layer(world.probe())).await;
    assert_eq!(result, Ok("fine"));
    assert_eq!(
        clones, 2,
        "one for each retry, and none for the last attempt"
    );
    let stats = budget.stats();
    assert_eq!(stats.deposited, 8 + 1, "paid once, at the end");
    assert_eq!(stats.balance, 4.0 - 2.0 + 0.5);
    assert_eq!((layer.stats().retries, layer.stats().recovered), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn the_last_outcome_is_returned_untouched_when_the_attempts_are_used_up() {
    let layer = layer(&tokens(20), 3, true);
    let world = World::answering([
        Answer::Err("reset"),
        Answer::Err("reset"),
        Answer::Ok("busy"),
    ]);
    let (result, _) = send(&mut layer.layer(world.probe())).await;
    assert_eq!(result, Ok("busy"));
    assert_eq!(world.calls().len(), 3);
    assert_eq!(layer.stats().out_of_attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn the_outcome_is_returned_untouched_when_the_budget_says_no() {
    let budget = tokens(1);
    let layer = layer(&budget, 3, true);
    let world = World::answering([Answer::Ok("busy"), Answer::Err("reset")]);
    let (result, _) = send(&mut layer.layer(world.probe())).await;
    assert_eq!(result, Err(Failure("reset")));
    assert_eq!(world.calls().len(), 2);
    assert_eq!((layer.stats().retries, layer.stats().exhausted), (1, 1));
    assert_eq!(budget.stats().refused, 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_final_and_funds_nothing() {
    let budget = tokens(1);
    let layer = layer(&budget, 3, true);
    for answer in [Answer::Ok("bad"), Answer::Err("broken")] {
        let world = World::answering([answer]);
        assert!(send(&mut layer.layer(world.probe())).await.0 != Ok("fine"));
        assert_eq!(world.calls().len(), 1);
    }
    assert_eq!((budget.stats().deposited, budget.stats().withdrawn), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_must_not_be_repeated_is_neither_retried_nor_cloned() {
    let budget = tokens(20);
    let layer = layer(&budget, 3, false);
    let world = World::answering([Answer::Err("reset")]);
    let (result, clones) = send(&mut layer.layer(world.probe())).await;
    assert_eq!(result, Err(Failure("reset")));
    assert_eq!((clones, world.clones(), world.calls().len()), (0, 0, 1));
    assert_eq!(budget.stats().withdrawn, 0);
    assert_eq!(layer.stats().not_retryable, 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_cloned_while_no_retry_is_affordable() {
    let layer = layer(&spent(0.0, 1), 3, true);
    let world = World::answering([Answer::Err("reset"), Answer::Ok("fine")]);
    let mut service = layer.layer(world.probe());
    for expected in [Err(Failure("reset")), Ok("fine")] {
        let (result, clones) = send(&mut service).await;
        assert_eq!((result, clones), (expected, 0));
    }
    assert_eq!(world.clones(), 0);
    assert_eq!(layer.stats().exhausted, 1);
}

#[tokio::test(start_paused = true)]
async fn with_one_attempt_nothing_is_cloned() {
    let layer = layer(&tokens(20), 1, true);
    let world = World::answering([Answer::Err("reset")]);
    let (_, clones) = send(&mut layer.layer(world.probe())).await;
    assert_eq!((clones, world.clones()), (0, 0));
    assert_eq!(layer.stats().out_of_attempts, 1);
}

/// Requests that cannot be made a second time.
#[derive(Clone, Debug)]
struct Never;

impl<Req> Replay<Req> for Never {
    type Request = Req;
    type Spare = std::convert::Infallible;

    fn plain(&self, request: Req) -> Req {
        request
    }

    fn first(&self, request: Req) -> (Req, Option<Self::Spare>) {
        (request, None)
    }

    fn again(&self, spare: &mut Self::Spare) -> Option<Req> {
        match *spare {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_made_again_clones_no_service_and_still_funds() {
    let budget = tokens(20);
    let layer = RetryLayer::builder(budget.clone())
        .replay(Never)
        .build()
        .unwrap();
    let world = World::answering([Answer::Ok("fine"), Answer::Err("reset")]);
    let mut service = layer.layer(world.probe());
    assert_eq!(send(&mut service).await.0, Ok("fine"));
    assert_eq!(send(&mut service).await.0, Err(Failure("reset")));
    assert_eq!(world.clones(), 0);
    assert_eq!(budget.stats().deposited, 1);
    assert_eq!(layer.stats().not_replayable, 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_retryable_funds_too() {
    let budget = spent(0.5, 20);
    let layer = layer(&budget, 3, false);
    let world = World::answering([Answer::Ok("fine"), Answer::Ok("fine")]);
    let mut service = layer.layer(world.probe());
    for _ in 0..2 {
        send(&mut service).await.0.unwrap();
    }
    assert_eq!(budget.stats().balance, 1.0);
}

/// Has a spare, but nothing can be made from it when it comes to that.
#[derive(Clone, Debug)]
struct Broken {
    known: bool,
}

impl Replay<Request> for Broken {
    type Request = Request;
    type Spare = ();

    fn plain(&self, request: Request) -> Request {
        request
    }

    fn first(&self, request: Request) -> (Request, Option<()>) {
        (request, Some(()))
    }

    fn replayable(&self, _spare: &()) -> bool {
        !self.known
    }

    fn again(&self, _spare: &mut ()) -> Option<Request> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn a_spare_that_turns_out_to_be_useless_costs_nothing() {
    for (known, withdrawn) in [(true, 0), (false, 1)] {
        let budget = tokens(20);
        let builder = RetryLayer::builder(budget.clone()).replay(Broken { known });
        let layer = builder.build().unwrap();
        let world = World::answering([Answer::Err("reset")]);
        let (result, _) = send(&mut layer.layer(world.probe())).await;
        assert_eq!(result, Err(Failure("reset")));
        assert_eq!(layer.stats().not_replayable, 1);
        assert_eq!(budget.stats().withdrawn, withdrawn);
        assert_eq!(budget.stats().balance, 20.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_server_asks_for_is_kept() {
    let world = World::answering([Answer::Ok("wait"), Answer::Ok("busy"), Answer::Ok("fine")]);
    let builder = RetryLayer::builder(tokens(20)).policy(ByText { retryable: true });
    let layer = builder.build().unwrap();
    let start = Instant::now();
    assert_eq!(send(&mut layer.layer(world.probe())).await.0, Ok("fine"));
    let took = Instant::now().duration_since(start);
    assert!(took > Duration::from_millis(3_025), "{took:?}");
    assert!(took < Duration::from_millis(3_053), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_longer_backoff_is_not_shortened_by_the_server() {
    let minute = Duration::from_secs(60);
    let world = World::answering([Answer::Ok("wait"), Answer::Ok("fine")]);
    let builder = RetryLayer::builder(tokens(20)).backoff(within(minute, minute));
    let layer = builder.policy(ByText { retryable: true }).build().unwrap();
    let start = Instant::now();
    assert_eq!(send(&mut layer.layer(world.probe())).await.0, Ok("fine"));
    assert!(Instant::now().duration_since(start) > minute / 2);
}

#[tokio::test(start_paused = true)]
async fn each_wait_doubles() {
    let world = World::answering([
        Answer::Ok("busy"),
        Answer::Ok("busy"),
        Answer::Ok("busy"),
        Answer::Ok("fine"),
    ]);
    let hours = |hours: u64| Duration::from_secs(3_600 * hours);
    let backoff = Backoff::new(hours(1), hours(24)).unwrap();
    let builder = RetryLayer::builder(tokens(20)).backoff(backoff);
    let layer = builder.attempts(4).policy(ByText { retryable: true });
    let start = Instant::now();
    let service = &mut layer.build().unwrap().layer(world.probe());
    assert_eq!(send(service).await.0, Ok("fine"));
    let took = Instant::now().duration_since(start);
    assert!(took > hours(7) / 2 && took <= hours(7), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_closure_is_a_policy() {
    let builder = RetryLayer::builder(tokens(20)).backoff(at_once());
    let layer = builder
        .policy(|result: Result<&&'static str, &Failure>| match result {
            Ok(&"busy") => Verdict::Retry { after: None },
            _ => Verdict::Success,
        })
        .build()
        .unwrap();
    let world = World::answering([Answer::Ok("busy"), Answer::Err("reset")]);
    let (result, _) = send(&mut layer.layer(world.probe())).await;
    assert_eq!(result, Err(Failure("reset")));
}

#[tokio::test(start_paused = true)]
async fn every_verdict_to_retry_is_counted_once() {
    let budget = tokens(30);
    let layer = layer(&budget, 3, true);
    let mut verdicts = 0;
    for round in 0..40 {
        let failures = round % 5;
        let answers = (0..failures).map(|_| Answer::Ok("busy"));
        let world = World::answering(answers.chain([Answer::Ok("fine")]));
        send(&mut layer.layer(world.probe())).await.0.unwrap();
        verdicts += world.calls().len() as u64;
    }
    let stats: RetryStats = layer.stats();
    let refused = stats.exhausted + stats.out_of_attempts;
    assert_eq!(stats.not_retryable + stats.not_replayable, 0);
    assert_eq!(verdicts, stats.requests + stats.retries);
    assert_eq!(stats.requests, budget.stats().deposited + refused);
    assert_eq!(stats.retries, budget.stats().withdrawn);
    assert!(stats.exhausted > 0 && stats.out_of_attempts > 0 && stats.recovered > 0);
}

#[tokio::test(start_paused = true)]
async fn layers_and_services_of_one_layer_share_their_counts_and_show_them() {
    let layer: RetryLayer<OnError> = RetryLayer::new(tokens(20));
    let world = World::answering([Answer::Ok("fine"), Answer::Ok("fine")]);
    let mut service = layer.clone().layer(world.probe());
    send(&mut service).await.0.unwrap();
    send(&mut service.clone()).await.0.unwrap();
    assert_eq!(layer.stats().requests, 2);
    assert_eq!(service.stats(), layer.stats());
    let shown = format!("{layer:?} {service:?}");
    assert!(
        shown.contains("OnError") && shown.contains("requests: 2"),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_not_made_worse_than_its_budget() {
    let budget = Budget::builder().ratio(0.2).min_per_second(1.0).burst(20);
    let layer = layer(&budget.build().unwrap(), 4, true);
    let start = Instant::now();
    let mut attempts = 0;
    for _ in 0..10_000 {
        let world = World::answering(vec![Answer::Err("reset"); 4]);
        send(&mut layer.layer(world.probe())).await.0.unwrap_err();
        attempts += world.calls().len();
        tokio::time::advance(Duration::from_micros(1003)).await;
    }
    let seconds = Instant::now().duration_since(start).as_secs() as usize;
    assert!((10_000 + 20 + seconds - 1..=10_000 + 20 + seconds + 1).contains(&attempts));
}

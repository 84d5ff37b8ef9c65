//! What is retried, what is not, and what it costs.

use std::time::Duration;

use tokio::time::Instant;
use tower::Layer;
use tower_retry_budget::{Budget, OnError, RetryLayer, RetryStats, Verdict};

mod support;

use support::{
    Answer, Failure, World, at_once,
    rules::{layer, send},
    spent, tokens,
};

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

#[tokio::test(start_paused = true)]
async fn a_closure_is_a_policy() {
    let builder = RetryLayer::builder(tokens(20)).backoff(at_once());
    let layer = builder
        .policy(|result: Result<&&'static str, &Failure>| match result {
            Ok(&"busy") => Verdict::retry(),
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
    assert_eq!((layer.stats().requests, layer.stats().recovered), (2, 0));
    assert_eq!(service.stats(), layer.stats());
    let shown = format!("{layer:?} {service:?}");
    assert!(
        shown.contains("OnError") && shown.contains("requests: 2"),
        "{shown}"
    );
}

/// The attempts of 10,000 requests in an outage of so many seconds.
async fn attempts_in_an_outage(budget: &Budget) -> (usize, usize) {
    let layer = layer(budget, 4, true);
    let start = Instant::now();
    let mut attempts = 0;
    for _ in 0..10_000 {
        let world = World::answering(vec![Answer::Err("reset"); 4]);
        let (outcome, ..) = send(&mut layer.layer(world.probe())).await;
        assert!(outcome.is_err());
        attempts += world.calls().len();
        tokio::time::advance(Duration::from_micros(1003)).await;
    }
    (
        attempts,
        Instant::now().duration_since(start).as_secs() as usize,
    )
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_not_made_worse_than_its_budget() {
    let budget = Budget::builder().reserve(20).follow_success(false);
    let (attempts, seconds) = attempts_in_an_outage(&budget.build().unwrap()).await;
    assert!((10_000 + 20 + seconds - 1..=10_000 + 20 + seconds + 1).contains(&attempts));
}

#[tokio::test(start_paused = true)]
async fn once_it_is_seen_to_be_one_an_outage_is_not_made_worse_at_all() {
    let (attempts, _) = attempts_in_an_outage(&Budget::new()).await;
    assert_eq!(attempts, 10_000 + 10, "the reserve");
}

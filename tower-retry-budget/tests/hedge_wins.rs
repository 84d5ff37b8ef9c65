//! Which attempt's outcome is returned, and what becomes of the other.

use std::{task::Poll, time::Duration};

use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Service, ServiceExt};
use tower_retry_budget::hedge::{Hedge, HedgeStats};

#[path = "support/backend.rs"]
mod backend;

use backend::{Backend, ByText, Failure, Instance, MS, Outcome, layer, learnt, send, tokens};

/// What comes of a request whose attempts are answered like this, after how long, and what of it
/// is counted.
async fn outcome_of(
    first: (Duration, Outcome),
    second: (Duration, Outcome),
) -> (Outcome, Duration, HedgeStats) {
    let (budget, backend) = (tokens(5), Backend::default());
    let layer = layer(&budget);
    let mut service = learnt(&layer, &backend).await;
    backend.will_answer([first, second]);
    let begun = Instant::now();
    let outcome = send(&mut service).await;
    let took = Instant::now().saturating_duration_since(begun);
    assert_eq!(backend.in_flight(), 0);
    (outcome, took, layer.stats())
}

async fn started(
    service: &mut Hedge<Instance, ByText>,
) -> task::Spawn<impl Future<Output = Outcome> + use<>> {
    let ready = ServiceExt::<()>::ready(service).await.expect("ready");
    let mut response = task::spawn(ready.call(()));
    assert_pending!(response.poll());
    response
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_is_answered_by_its_second_attempt() {
    let (outcome, took, stats) = outcome_of((1000 * MS, Ok("late")), (5 * MS, Ok("hedge"))).await;
    assert_eq!(outcome, Ok("hedge"));
    assert!((15 * MS..20 * MS).contains(&took), "{took:?}");
    assert_eq!((stats.hedged, stats.won_second, stats.won_first), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_first_attempt_may_still_win() {
    let (outcome, took, stats) = outcome_of((30 * MS, Ok("first")), (1000 * MS, Ok("hedge"))).await;
    assert_eq!(outcome, Ok("first"));
    assert!((30 * MS..=32 * MS).contains(&took), "{took:?}");
    assert_eq!((stats.hedged, stats.won_second, stats.won_first), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_fast_is_sent_once_and_goes_to_the_instance_that_was_ready() {
    let backend = Backend::default();
    let layer = layer(&tokens(5));
    let mut service = learnt(&layer, &backend).await;
    let instances = backend.instances();
    backend.will_answer([(8 * MS, Ok("first"))]);
    assert_eq!(send(&mut service).await, Ok("first"));
    assert_eq!(backend.calls(), [0]);
    assert_eq!(backend.instances(), instances, "no clone for what is fast");
    assert_eq!(layer.stats().hedged, 0);
}

#[tokio::test(start_paused = true)]
async fn the_loser_is_dropped_at_once() {
    for answers in [[1000 * MS, 5 * MS], [30 * MS, 1000 * MS]] {
        let backend = Backend::default();
        let mut service = learnt(&layer(&tokens(5)), &backend).await;
        backend.will_answer(answers.map(|latency| (latency, Ok("won"))));
        let mut response = started(&mut service).await;
        advance(13 * MS).await;
        assert_pending!(response.poll());
        assert_eq!(backend.in_flight(), 2);
        advance(20 * MS).await;
        assert_eq!(assert_ready!(response.poll()), Ok("won"));
        // The response future is not yet dropped.
        assert_eq!(backend.in_flight(), 0);
        assert_eq!(backend.calls().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_early_error_of_the_second_does_not_beat_a_pending_first() {
    for error in [Err(Failure("reset")), Ok("bad")] {
        let (outcome, took, stats) = outcome_of((50 * MS, Ok("first")), (MS, error)).await;
        assert_eq!(outcome, Ok("first"));
        assert!(took >= 50 * MS, "{took:?}");
        assert_eq!((stats.hedged, stats.won_first, stats.failed), (1, 1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_early_error_of_the_first_does_not_beat_a_pending_second() {
    for error in [Err(Failure("reset")), Ok("bad")] {
        let (outcome, took, stats) = outcome_of((15 * MS, error), (50 * MS, Ok("hedge"))).await;
        assert_eq!(outcome, Ok("hedge"));
        assert!(took >= 60 * MS, "{took:?}");
        assert_eq!((stats.hedged, stats.won_second, stats.failed), (1, 1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn if_both_fail_the_first_is_told() {
    let (one, two) = (|| Err(Failure("one")), || Err(Failure("two")));
    for (first, second) in [(15, 50), (50, 5)] {
        let answers = ((first * MS, one()), (second * MS, two()));
        let (outcome, took, stats) = outcome_of(answers.0, answers.1).await;
        assert_eq!(outcome, one());
        assert!(took >= 50 * MS, "{took:?}");
        assert_eq!((stats.hedged, stats.failed), (1, 1));
        assert_eq!((stats.won_first, stats.won_second), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_the_callers_fault_is_not_waited_for() {
    let (outcome, took, _) = outcome_of((15 * MS, Ok("yours")), (1000 * MS, Ok("hedge"))).await;
    assert_eq!(outcome, Ok("yours"));
    assert!(took < 20 * MS, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_error_before_the_delay_is_returned_at_once_and_not_retried() {
    let second = (MS, Ok("hedge"));
    let (outcome, took, stats) = outcome_of((2 * MS, Err(Failure("reset"))), second).await;
    assert_eq!(outcome, Err(Failure("reset")));
    assert!(took < 5 * MS, "{took:?}");
    assert_eq!(stats.hedged, 0);
}

#[tokio::test(start_paused = true)]
async fn there_is_no_third_attempt() {
    let backend = Backend::default();
    let mut service = learnt(&layer(&tokens(5)), &backend).await;
    let never = Duration::from_secs(3600);
    backend.will_answer([(never, Ok("")), (never, Ok(""))]);
    let mut response = started(&mut service).await;
    for _ in 0..100 {
        advance(101 * MS).await;
        assert_pending!(response.poll());
    }
    assert_eq!(backend.calls().len(), 2);
    assert_ne!(
        backend.calls()[1],
        0,
        "not by the instance that may be in use"
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_leaves_the_first_alone() {
    let (budget, backend) = (tokens(5), Backend::default());
    let layer = layer(&budget);
    let mut service = learnt(&layer, &backend).await;
    backend.will_answer([(100 * MS, Ok("first"))]);
    backend.will_be([Poll::Ready(Ok("")), Poll::Ready(Err(Failure("shut")))]);
    assert_eq!(send(&mut service).await, Ok("first"));
    assert_eq!((layer.stats().hedged, layer.stats().not_ready), (0, 1));
    assert_eq!(budget.stats().balance, 5.0);
}

#[tokio::test(start_paused = true)]
async fn the_first_goes_on_while_the_service_is_not_ready_for_a_second() {
    let (budget, backend) = (tokens(5), Backend::default());
    let layer = layer(&budget);
    let mut service = learnt(&layer, &backend).await;
    backend.will_answer([(30 * MS, Ok("first"))]);
    // This one is ready, and the second is not for long.
    backend.will_be([Poll::Ready(Ok(""))]);
    backend.will_be((0..1000).map(|_| Poll::Pending));
    let mut response = started(&mut service).await;
    advance(13 * MS).await;
    assert_pending!(response.poll());
    assert_eq!(budget.stats().balance, 5.0, "nothing is sent yet");
    advance(20 * MS).await;
    assert_eq!(assert_ready!(response.poll()), Ok("first"));
    assert_eq!(backend.calls(), [0]);
    assert_eq!((layer.stats().hedged, budget.stats().balance), (0, 5.0));
}

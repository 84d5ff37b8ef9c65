//! `tower-resilience`: what its retries and its budget had to learn.

use std::{sync::Barrier, thread};

use tower::{Layer, ServiceExt};
use tower_retry_budget::{Kind, OnError, RetryLayer, hedge::HedgeLayer};

use crate::support::{Answer, Failure, Readiness, World, at_once, tokens};

/// Its #286 and #362. The probe is ready only where it was polled, and panics if it is called
/// without.
#[tokio::test(start_paused = true)]
async fn readiness_is_not_taken_over_by_a_clone_and_each_retry_is_polled_for() {
    let world = World::answering([Answer::Err("a"), Answer::Err("b"), Answer::Ok("c")]);
    world.then_ready([Readiness::Pending, Readiness::Ready, Readiness::Ready]);
    let layer = RetryLayer::builder(tokens(20)).backoff(at_once()).build();
    let service = layer.unwrap().layer(world.probe());
    let clone = service.clone();
    drop(service);
    let request = tokio::spawn(clone.oneshot(()));
    tokio::task::yield_now().await;
    world.wake();
    assert_eq!(request.await.unwrap(), Ok("c"));
    assert_eq!(world.polls(), 4);
    assert_eq!(world.reserved(), 0);
}

/// Its #370 and #411.
#[test]
fn no_race_takes_more_than_there_is() {
    const THREADS: usize = 8;
    for _ in 0..100 {
        let (budget, start) = (tokens(50), Barrier::new(THREADS));
        let take = || {
            start.wait();
            let withdrawals = (0..50).map(|_| budget.try_withdraw(Kind::Transient));
            withdrawals.filter(Result::is_ok).count()
        };
        let taken: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(take)).collect();
            let taken = threads.into_iter().map(|thread| thread.join().unwrap());
            taken.sum()
        });
        assert_eq!(taken, 50);
    }
}

/// Its #365: what one of the clones admits, all of them have.
#[tokio::test(start_paused = true)]
async fn clones_and_layers_take_from_one_balance() {
    let budget = tokens(5);
    let world = World::answering(vec![Answer::Err("reset"); 100]);
    let layer = |budget| RetryLayer::builder(budget).backoff(at_once()).build();
    let one = layer(budget.clone()).unwrap();
    let other = layer(budget.clone()).unwrap();
    for _ in 0..4 {
        for layer in [&one, &other.clone()] {
            let hedged = HedgeLayer::new(budget.clone(), OnError).layer(world.probe());
            let service = layer.layer(hedged);
            assert_eq!(service.clone().oneshot(()).await, Err(Failure("reset")));
        }
    }
    assert_eq!(world.calls().len(), 8 + 5);
    assert_eq!(one.stats().retries + other.stats().retries, 5);
}

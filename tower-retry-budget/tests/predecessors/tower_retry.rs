//! `tower::retry`.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, Sleep, sleep};
use tower::{
    Layer, ServiceExt,
    retry::{self, budget::TpsBudget},
    timeout::{Timeout, error::Elapsed},
};
use tower_retry_budget::{RetryLayer, Verdict};

use crate::{
    support::{
        Answer, Failure, Readiness, World, at_once,
        rules::{layer, send},
        tokens,
    },
    theirs::{Counting, Documented, still},
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_made_again_clones_no_service_and_still_funds() {
    let (budget, world) = (tokens(20), World::answering(vec![Answer::Ok("fine"); 3]));
    let mut ours = layer(&budget, 3, false).layer(world.probe());
    for _ in 0..3 {
        assert_eq!(send(&mut ours).await, (Ok("fine"), 0));
    }
    assert_eq!(world.clones(), 0);
    assert_eq!(budget.stats().deposited, 3);

    let (policy, budget) = Counting::policy(false);
    let world = World::answering(vec![Answer::Ok("fine"); 3]);
    let mut theirs = retry::Retry::new(policy, world.probe());
    for _ in 0..3 {
        let ready = ServiceExt::<()>::ready(&mut theirs).await.unwrap();
        assert_eq!(tower::Service::call(ready, ()).await, Ok("fine"));
    }
    // Theirs keeps none to clone from.
    let clones = world.clones() + 1;
    still(clones == 3, "the service is cloned for each request");
    still(budget.deposited() == 0, "what is not cloned never pays in");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_does_not_go_past_the_policy() {
    let readiness = || [Readiness::Ready, Readiness::Err("down"), Readiness::Ready];
    let answers = || World::answering([Answer::Err("reset"), Answer::Ok("fine")]);
    let world = answers();
    world.then_ready(readiness());
    let ours = RetryLayer::builder(tokens(20)).backoff(at_once()).build();
    let answer = ours.unwrap().layer(world.probe()).oneshot(()).await;
    assert_eq!(answer, Ok("fine"));

    let world = answers();
    world.then_ready(readiness());
    let (policy, budget) = Counting::policy(true);
    let answer = retry::Retry::new(policy, world.probe()).oneshot(()).await;
    let was_asked = budget.withdrawn() > 1;
    still(
        answer == Err(Failure("down")) && !was_asked,
        "an error of readiness is returned past the policy",
    );
}

/// As both are out of the box, or out of the documentation.
#[tokio::test(start_paused = true)]
async fn one_request_does_not_use_up_the_budget_in_no_time() {
    let failing = || World::answering(vec![Answer::Err("reset"); 200]);
    let (world, begun) = (failing(), Instant::now());
    let ours = RetryLayer::new(tokens(200)).layer(world.probe());
    assert_eq!(ours.oneshot(()).await, Err(Failure("reset")));
    assert_eq!(world.calls().len(), 3);
    let took = Instant::now().duration_since(begun);
    assert!(took >= Duration::from_micros(62_500), "{took:?}");

    let (world, begun) = (failing(), Instant::now());
    let policy = Documented {
        budget: Arc::new(TpsBudget::default()),
        clones: true,
    };
    let theirs = retry::Retry::new(policy, world.probe());
    assert_eq!(theirs.oneshot(()).await, Err(Failure("reset")));
    still(
        world.calls().len() == 101 && Instant::now() == begun,
        "one request may be sent a hundred times at once",
    );
}

/// Waits for nine seconds before each retry.
#[derive(Clone)]
struct Slow;

impl retry::Policy<(), &'static str, Failure> for Slow {
    type Future = Sleep;

    fn retry(&mut self, (): &mut (), _: &mut Result<&'static str, Failure>) -> Option<Sleep> {
        Some(sleep(9 * SECOND))
    }

    fn clone_request(&mut self, (): &()) -> Option<()> {
        Some(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_not_lost_to_a_wait_beyond_the_deadline() {
    let world = World::answering([Answer::Ok("busy")]);
    let deadline = Instant::now() + 2 * SECOND;
    let policy = |_: Result<&&'static str, &Failure>| Verdict::retry().after(9 * SECOND);
    let builder = RetryLayer::builder(tokens(20)).policy(policy);
    let layer = builder.deadline(move |(): &()| Some(deadline)).build();
    let ours = Timeout::new(layer.unwrap().layer(world.probe()), 2 * SECOND);
    assert_eq!(ours.oneshot(()).await.unwrap(), "busy");

    let world = World::answering([Answer::Ok("busy")]);
    let theirs = Timeout::new(retry::Retry::new(Slow, world.probe()), 2 * SECOND);
    let error = theirs.oneshot(()).await.unwrap_err();
    still(
        error.is::<Elapsed>(),
        "retries know of no deadline, and hold an answer back until it is of no use",
    );
}

//! Nothing is cloned and no token taken where no retry can be.

use tower::Layer;
use tower_retry_budget::{Replay, RetryLayer};

mod support;

use support::{
    Answer, Broken, Failure, World,
    rules::{layer, send},
    spent, tokens,
};

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
async fn a_healthy_request_clones_no_service_and_a_request_with_retries_one() {
    let layer = layer(&tokens(20), 3, true);
    let world = World::answering([Answer::Ok("fine"), Answer::Err("bad")]);
    let mut service = layer.layer(world.probe());
    for expected in [Ok("fine"), Err(Failure("bad"))] {
        // The request is: its first attempt takes it away.
        assert_eq!(send(&mut service).await, (expected, 1));
        assert_eq!(world.clones(), 0);
    }
    let answers = [
        Answer::Err("reset"),
        Answer::Err("reset"),
        Answer::Ok("fine"),
    ];
    let world = World::answering(answers);
    assert_eq!(send(&mut layer.layer(world.probe())).await.0, Ok("fine"));
    assert_eq!(world.clones(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_refused_clones_no_service() {
    let layer = layer(&tokens(1), 3, true);
    let answers = [Answer::Err("reset"), Answer::Never, Answer::Err("reset")];
    let world = World::answering(answers);
    let mut service = layer.layer(world.probe());
    let first = tokio::time::timeout(std::time::Duration::from_secs(1), send(&mut service));
    assert!(first.await.is_err(), "its retry has taken the only token");
    assert_eq!(world.clones(), 1);
    assert_eq!(send(&mut service).await.0, Err(Failure("reset")));
    assert_eq!(world.clones(), 1);
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

//! An outcome that would have been retried says why it was not.

use tower::{Layer, ServiceExt};
use tower_retry_budget::{Builder, Policy, Refusal, Replay, RetryLayer, Verdict};

mod support;

use support::{Answer, Broken, Failure, Readiness, Request, World, at_once, spent, tokens};

/// Retries errors but "bad", and writes into them why there was no retry.
struct Marking {
    retryable: bool,
}

impl Policy<Request, &'static str, Failure> for Marking {
    fn retryable(&self, _: &Request) -> bool {
        self.retryable
    }

    fn classify(&self, result: Result<&&'static str, &Failure>) -> Verdict {
        match result {
            Ok(_) => Verdict::Success,
            Err(Failure("bad")) => Verdict::Failure,
            Err(Failure("spoilt")) => Verdict::Neutral,
            Err(_) => Verdict::retry(),
        }
    }

    fn gave_up(&self, outcome: &mut Result<&'static str, Failure>, why: Refusal) {
        *outcome = Err(Failure(match why {
            Refusal::Exhausted => "exhausted",
            Refusal::NotRetryable => "not retryable",
            Refusal::NotReplayable => "not replayable",
            Refusal::OutOfAttempts => "out of attempts",
            Refusal::NotReady => "not ready",
            Refusal::PastDeadline => "past the deadline",
            _ => "something else",
        }));
    }
}

fn builder() -> Builder<Marking> {
    let builder = RetryLayer::builder(tokens(20)).backoff(at_once());
    builder.attempts(2).policy(Marking { retryable: true })
}

async fn outcome<P, R>(layer: RetryLayer<P, R>, world: &World) -> Result<&'static str, &'static str>
where
    P: Policy<Request, &'static str, Failure>,
    R: Replay<Request>,
{
    let service = layer.layer(world.probe());
    let result = service.oneshot(Request::default()).await;
    result.map_err(|Failure(text)| text)
}

/// A world whose services fail whenever they are asked.
fn failing() -> World {
    World::answering([Answer::Err("reset"), Answer::Err("reset")])
}

#[tokio::test(start_paused = true)]
async fn out_of_attempts() {
    let layer = builder().build().unwrap();
    assert_eq!(outcome(layer, &failing()).await, Err("out of attempts"));
}

#[tokio::test(start_paused = true)]
async fn exhausted_before_the_first_attempt_and_after_it() {
    let builder = || {
        let builder = RetryLayer::builder(spent(0.0, 1)).backoff(at_once());
        builder.policy(Marking { retryable: true })
    };
    let layer = builder().build().unwrap();
    assert_eq!(outcome(layer, &failing()).await, Err("exhausted"));

    let builder = RetryLayer::builder(tokens(1)).backoff(at_once());
    let builder = builder.attempts(3).policy(Marking { retryable: true });
    let layer = builder.build().unwrap();
    assert_eq!(outcome(layer, &failing()).await, Err("exhausted"));
}

#[tokio::test(start_paused = true)]
async fn not_ready_in_time() {
    let world = failing();
    world.then_ready([Readiness::Ready]);
    world.then_ready(vec![Readiness::Pending; 16]);
    let layer = builder().build().unwrap();
    assert_eq!(outcome(layer, &world).await, Err("not ready"));
}

#[tokio::test(start_paused = true)]
async fn not_replayable() {
    let layer = builder().replay(Broken { known: true }).build().unwrap();
    assert_eq!(outcome(layer, &failing()).await, Err("not replayable"));
}

#[tokio::test(start_paused = true)]
async fn past_the_deadline() {
    let now = tokio::time::Instant::now();
    let layer = builder().deadline(move |_: &Request| Some(now));
    let layer = layer.build().unwrap();
    assert_eq!(outcome(layer, &failing()).await, Err("past the deadline"));
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_retried_has_no_mark_nor_has_what_is_final() {
    let builder = RetryLayer::builder(tokens(20)).policy(Marking { retryable: false });
    let layer = builder.build().unwrap();
    assert_eq!(outcome(layer, &failing()).await, Err("reset"));
    for text in ["bad", "spoilt"] {
        let layer = self::builder().build().unwrap();
        let world = World::answering([Answer::Err(text)]);
        assert_eq!(outcome(layer, &world).await, Err(text));
    }
    let layer = self::builder().build().unwrap();
    let world = World::answering([Answer::Err("reset"), Answer::Ok("fine")]);
    assert_eq!(outcome(layer, &world).await, Ok("fine"));
}

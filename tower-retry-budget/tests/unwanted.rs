//! A retry that the server does not want.

use tower::Layer;
use tower_retry_budget::{Kind, Policy, Refusal, RetryLayer, Verdict};

mod support;

use support::{Answer, Failure, Request, World, at_once, rules::send, tokens};

/// Notes in the outcome why it was not retried.
struct Marking;

impl Policy<Request, &'static str, Failure> for Marking {
    fn classify(&self, result: Result<&&'static str, &Failure>) -> Verdict {
        match result {
            Ok(&"leave me alone") => Verdict::retry().kind(Kind::Throttled).unwanted(),
            Ok(_) => Verdict::Success,
            Err(_) => Verdict::retry(),
        }
    }

    fn gave_up(&self, outcome: &mut Result<&'static str, Failure>, why: Refusal) {
        assert_eq!(why, Refusal::Unwanted);
        *outcome = Ok("marked");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_not_sent_costs_nothing_and_is_marked() {
    let budget = tokens(20);
    let layer = RetryLayer::builder(budget.clone())
        .backoff(at_once())
        .policy(Marking)
        .build()
        .unwrap();
    let world = World::answering([Answer::Err("reset"), Answer::Ok("leave me alone")]);
    let (outcome, _) = send(&mut layer.layer(world.probe())).await;
    assert_eq!(outcome, Ok("marked"));
    assert_eq!(world.calls().len(), 2);
    assert_eq!((layer.stats().retries, layer.stats().unwanted), (1, 1));
    assert_eq!(budget.stats().balance, 19.0);
}

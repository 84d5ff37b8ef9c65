//! What a layer tells its budget: each outcome, and what each retry was for.

use std::time::Duration;

use tokio::time::timeout;
use tower::{Layer, ServiceExt};
use tower_retry_budget::{Budget, Kind, RetryLayer, Verdict, budget::ByKind};

mod support;

use support::{Answer, Failure, World, at_once, resends, rules::send, tokens};

/// Judges by the text of the outcome.
fn by_text(result: Result<&&'static str, &Failure>) -> Verdict {
    match result {
        Ok(&"busy") => Verdict::retry().kind(Kind::Throttled),
        Err(Failure("late")) => Verdict::retry().kind(Kind::Timeout),
        Err(Failure("reset")) => Verdict::retry(),
        Err(Failure("spoilt")) => Verdict::Neutral,
        Err(_) => Verdict::Failure,
        Ok(_) => Verdict::Success,
    }
}

async fn outcome(
    budget: &Budget,
    answers: impl IntoIterator<Item = Answer>,
) -> Result<&'static str, Failure> {
    let layer = RetryLayer::builder(budget.clone()).backoff(at_once());
    let layer = layer.attempts(9).policy(by_text).build().expect("valid");
    let world = World::answering(answers);
    layer.layer(world.probe()).oneshot(()).await
}

fn granted(budget: &Budget) -> ByKind<u64> {
    let kinds = budget.stats().kinds;
    let mut granted = ByKind::default();
    granted.transient = kinds.transient.granted;
    granted.throttled = kinds.throttled.granted;
    granted.timeout = kinds.timeout.granted;
    granted.hedge = kinds.hedge.granted;
    granted
}

#[tokio::test(start_paused = true)]
async fn each_retry_is_paid_for_by_the_kind_of_the_failure_before_it() {
    let budget = tokens(100);
    let answers = [
        Answer::Err("reset"),
        Answer::Ok("busy"),
        Answer::Ok("busy"),
        Answer::Err("late"),
        Answer::Ok("fine"),
    ];
    assert_eq!(outcome(&budget, answers).await, Ok("fine"));
    let granted = granted(&budget);
    assert_eq!((granted.transient, granted.throttled), (1, 2));
    assert_eq!((granted.timeout, granted.hedge), (1, 0));
    let kinds = budget.stats().kinds;
    let prices = kinds.transient.price + 2.0 * kinds.throttled.price + kinds.timeout.price;
    assert_eq!(budget.stats().balance, 100.0 - prices);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_that_failed_is_noted_and_what_is_neutral_is_not() {
    let cases: [(&[Answer], _); 4] = [
        (&[Answer::Ok("fine")], (1, 0)),
        (&[Answer::Err("bad")], (0, 1)),
        (&[Answer::Err("spoilt")], (0, 0)),
        (
            &[Answer::Err("reset"), Answer::Ok("busy"), Answer::Err("bad")],
            (0, 3),
        ),
    ];
    for (answers, expected) in cases {
        let budget = tokens(20);
        let _ = outcome(&budget, answers.iter().cloned()).await;
        let stats = budget.stats();
        assert_eq!((stats.deposited, stats.failed), expected, "{answers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_processed_has_failed_only_if_it_is_not_sent_again_for_nothing() {
    for (allowed, failed) in [(0, 2), (1, 1), (2, 0)] {
        let budget = tokens(20);
        let layer = resends::layer(&budget, 3, allowed, resends::BOTH);
        let world = World::answering([resends::REFUSED, resends::REFUSED, resends::FINE]);
        assert_eq!(send(&mut layer.layer(world.probe())).await.0, Ok("fine"));
        assert_eq!(budget.stats().failed, failed, "{allowed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_succeeded_is_refunded_if_the_budget_says_so() {
    for refund in [false, true] {
        let builder = Budget::builder().ratio(0.0).min_per_second(0.0);
        let builder = builder.reserve(20).burst(20).refund_succeeded(refund);
        let budget = builder.build().unwrap();
        let answers = [
            Answer::Err("reset"),
            Answer::Err("reset"),
            Answer::Ok("fine"),
        ];
        assert_eq!(outcome(&budget, answers).await, Ok("fine"));
        // The first retry was in vain.
        assert_eq!(budget.stats().refunded_succeeded, u64::from(refund));
        let balance = if refund { 19.0 } else { 18.0 };
        assert_eq!(budget.stats().balance, balance);
        // And so is one that is cancelled, or fails for good.
        let _ = outcome(&budget, [Answer::Err("reset"), Answer::Err("bad")]).await;
        let never = outcome(&budget, [Answer::Err("reset"), Answer::Never]);
        assert!(timeout(Duration::from_secs(1), never).await.is_err());
        assert_eq!(budget.stats().balance, balance - 2.0);
        assert_eq!(budget.stats().refunded, 0);
    }
}

//! Second attempts are paid for when they are sent, and not sent when they are not.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_retry_budget::{Budget, Kind, Next, Replay, RetryLayer, hedge::HedgeLayer};

#[path = "support/backend.rs"]
mod backend;

use backend::{Backend, Failure, MS, builder, by_text, layer, learnt, send, tokens};

#[tokio::test(start_paused = true)]
async fn a_second_attempt_is_paid_for_and_a_fast_request_is_not() {
    let (budget, backend) = (tokens(5), Backend::default());
    let mut service = learnt(&layer(&budget), &backend).await;
    assert_eq!(budget.stats().balance, 5.0);
    backend.will_answer([(1000 * MS, Ok("")), (MS, Ok("hedge"))]);
    assert_eq!(send(&mut service).await, Ok("hedge"));
    assert_eq!(budget.stats().balance, 4.0);
    assert_eq!(budget.stats().refunded, 0);
}

#[tokio::test(start_paused = true)]
async fn what_has_won_is_refunded_only_if_the_budget_says_so() {
    for (is_refunded, won, expected) in [(false, true, 4.0), (true, true, 5.0), (true, false, 4.0)]
    {
        let builder = Budget::builder().ratio(0.0).min_per_second(0.0);
        let builder = builder.reserve(5).burst(5).refund_succeeded(is_refunded);
        let (budget, backend) = (builder.build().expect("valid"), Backend::default());
        let mut service = learnt(&layer(&budget), &backend).await;
        let answers = if won { [1000, 1] } else { [50, 1000] };
        backend.will_answer(answers.map(|latency| (latency * MS, Ok(""))));
        send(&mut service).await.expect("answered");
        assert_eq!(budget.stats().balance, expected, "{is_refunded} {won}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_tokens_the_first_attempt_goes_on_alone() {
    let (budget, backend) = (tokens(1), Backend::default());
    let layer = layer(&budget);
    let mut service = learnt(&layer, &backend).await;
    for expected in ["hedge", "slow", "slow"] {
        backend.will_answer([(100 * MS, Ok("slow"))]);
        if expected == "hedge" {
            backend.will_answer([(MS, Ok("hedge"))]);
        }
        assert_eq!(send(&mut service).await, Ok(expected));
    }
    let stats = layer.stats();
    assert_eq!((stats.hedged, stats.exhausted), (1, 2));
    assert_eq!(backend.calls().len(), 4);
}

/// Counts what is kept.
#[derive(Clone, Debug, Default)]
struct Counted(Arc<AtomicUsize>);

impl Replay<()> for Counted {
    type Request = ();
    type Spare = ();

    fn plain(&self, (): ()) {}

    fn first(&self, (): ()) -> ((), Option<()>) {
        self.0.fetch_add(1, Relaxed);
        ((), Some(()))
    }

    fn again(&self, (): &mut ()) -> Option<()> {
        Some(())
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_a_request_that_cannot_be_hedged() {
    let (budget, backend) = (tokens(1), Backend::default());
    let kept = Counted::default();
    let layer = builder(&budget)
        .replay(kept.clone())
        .build()
        .expect("valid");
    let mut fresh = layer.layer(backend.instance());
    send(&mut fresh).await.expect("answered");
    assert_eq!(kept.0.load(Relaxed), 0, "the delay is not known");
    let mut service = learnt(&layer, &backend).await;
    let before = kept.0.load(Relaxed);
    send(&mut service).await.expect("answered");
    assert_eq!(kept.0.load(Relaxed), before + 1);
    let _ = budget
        .try_withdraw(Kind::Transient)
        .expect("nobody has taken it");
    send(&mut service).await.expect("answered");
    assert_eq!(kept.0.load(Relaxed), before + 1, "the budget is empty");
}

/// The budget is empty by the time the request turns out to be slow.
#[tokio::test(start_paused = true)]
async fn the_token_is_taken_when_the_second_attempt_is_sent_and_not_before() {
    let (budget, backend) = (tokens(1), Backend::default());
    let layer = layer(&budget);
    let mut service = learnt(&layer, &backend).await;
    backend.will_answer([(100 * MS, Ok("slow"))]);
    let mut response = task::spawn(
        ServiceExt::<()>::ready(&mut service)
            .await
            .unwrap()
            .call(()),
    );
    assert_pending!(response.poll());
    assert_eq!(budget.stats().balance, 1.0);
    let _ = budget
        .try_withdraw(Kind::Transient)
        .expect("nobody has taken it");
    let instances = backend.instances();
    advance(13 * MS).await;
    assert_pending!(response.poll());
    assert_eq!((layer.stats().hedged, layer.stats().exhausted), (0, 1));
    assert_eq!(backend.instances(), instances, "nobody got ready for it");
    advance(90 * MS).await;
    assert_eq!(assert_ready!(response.poll()), Ok("slow"));
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_spends_nothing() {
    let (budget, backend) = (tokens(5), Backend::default());
    let builder = builder(&budget).prepare(|(): &mut (), _: Next| panic!("a broken hook"));
    let layer = builder.build().expect("valid");
    let mut service = learnt(&layer, &backend).await;
    backend.will_answer([(100 * MS, Ok("slow"))]);
    let ready = ServiceExt::<()>::ready(&mut service).await.unwrap();
    let mut response = task::spawn(ready.call(()));
    assert_pending!(response.poll());
    advance(13 * MS).await;
    let polled = catch_unwind(AssertUnwindSafe(|| response.poll().is_ready()));
    assert!(polled.is_err());
    drop(response);
    assert_eq!((backend.calls().len(), backend.reserved()), (1, 0));
    let stats = budget.stats();
    assert_eq!((stats.balance, stats.refunded), (5.0, 1));
    assert_eq!(layer.stats().hedged, 0);
}

#[tokio::test(start_paused = true)]
async fn retries_and_hedges_share_one_budget() {
    let (budget, backend) = (tokens(2), Backend::default());
    let mut service = learnt(&layer(&budget), &backend).await;
    let failing = service_fn(|()| async { Err::<(), _>(Failure("reset")) });
    let retrying = RetryLayer::builder(budget.clone()).attempts(2).build();
    let outcome = retrying.expect("valid").layer(failing).oneshot(()).await;
    assert_eq!(outcome, Err(Failure("reset")));
    backend.will_answer([(1000 * MS, Ok("")), (MS, Ok("hedge"))]);
    assert_eq!(send(&mut service).await, Ok("hedge"));
    assert_eq!((budget.stats().withdrawn, budget.stats().balance), (2, 0.0));
}

#[tokio::test(start_paused = true)]
async fn a_success_pays_in_only_if_told_to() {
    for (funds, expected) in [(false, 0), (true, 202)] {
        let (budget, backend) = (tokens(5), Backend::default());
        let layer = builder(&budget).funds(funds).build().expect("valid");
        let mut service = learnt(&layer, &backend).await;
        // Once for the two attempts of a request, and not for a failure.
        backend.will_answer([(1000 * MS, Ok("")), (MS, Ok("hedge"))]);
        send(&mut service).await.expect("answered");
        send(&mut service).await.expect("answered");
        backend.will_answer([(MS, Err(Failure("reset"))), (MS, Ok("bad"))]);
        send(&mut service).await.expect_err("failed");
        send(&mut service).await.expect("answered");
        assert_eq!(budget.stats().deposited, expected);
    }
}

/// Whatever happens to the latencies, no more is sent than is paid for.
#[tokio::test(start_paused = true)]
async fn when_everything_slows_hedges_stay_in_the_budget() {
    let budget = Budget::builder().ratio(0.1).min_per_second(0.0).burst(5);
    let (budget, backend) = (budget.build().expect("valid"), Backend::default());
    let layer = HedgeLayer::builder(budget.clone(), by_text).funds(true);
    let layer = layer.build().expect("valid");
    let mut service = learnt(&layer, &backend).await;
    for step in 1..=20 {
        // Faster than what is learnt can follow.
        backend.usually_takes((10 + 15 * step) * MS);
        for _ in 0..20 {
            send(&mut service).await.expect("answered");
        }
    }
    let stats = layer.stats();
    assert_eq!(stats.requests, 600);
    assert!(stats.exhausted > 50, "{stats:?}");
    assert!((10..=5 + 60).contains(&stats.hedged), "{stats:?}");
}

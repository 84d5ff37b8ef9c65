//! What was certainly not processed is sent again: whatever it is, at no cost, and within a bound.

use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready_eq, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt};
use tower_retry_budget::{Budget, Kind, Policy, Replay, RetryLayer};
use tower_test::{assert_request_eq, mock};

mod support;

use support::{
    Broken, Failure, Readiness, Request, World,
    resends::{BOTH, BUSY, FINE, May, ONLY_RESEND, ONLY_RETRY, REFUSED, builder, layer, refusals},
    rules::send,
    spent, tokens,
};

#[tokio::test(start_paused = true)]
async fn what_may_not_be_retried_is_sent_again_and_costs_nothing() {
    let budget = spent(0.5, 20);
    let layer = layer(&budget, 1, 2, ONLY_RESEND);
    let world = World::answering([REFUSED, REFUSED, FINE]);
    let (result, clones) = send(&mut layer.layer(world.probe())).await;
    assert_eq!(result, Ok("fine"));
    assert_eq!(world.calls(), [0, 2, 2], "all by one clone of the service");
    assert_eq!(clones, 2, "none for the last");
    let stats = layer.stats();
    assert_eq!((stats.resent, stats.retries, stats.recovered), (2, 0, 0));
    assert_eq!(refusals(stats), []);
    let stats = budget.stats();
    assert_eq!((stats.withdrawn, stats.refused), (1 + 19, 1), "of `spent`");
    assert_eq!((stats.deposited, stats.balance), (1, 0.5));
}

#[tokio::test(start_paused = true)]
async fn no_more_often_than_allowed() {
    for resends in [1, 2, 5] {
        let layer = layer(&tokens(20), 3, resends, ONLY_RESEND);
        let world = World::answering(vec![REFUSED; 9]);
        let (result, _) = send(&mut layer.layer(world.probe())).await;
        assert_eq!(result, Err(Failure("refused")));
        assert_eq!(world.calls().len() as u32, 1 + resends);
        assert_eq!(layer.stats().resent, u64::from(resends));
        assert_eq!(refusals(layer.stats()), [("not_retryable", 1)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_of_which_nothing_is_kept_is_not_sent_again() {
    let budget = tokens(20);
    for (resends, may) in [
        (0, ONLY_RESEND),
        (
            2,
            May {
                retry: false,
                resend: false,
            },
        ),
    ] {
        let layer = layer(&budget, 3, resends, may);
        let world = World::answering([REFUSED]);
        let (result, clones) = send(&mut layer.layer(world.probe())).await;
        assert_eq!(result, Err(Failure("refused")));
        assert_eq!((world.calls().len(), clones, world.clones()), (1, 0, 0));
        assert_eq!(refusals(layer.stats()), [("not_retryable", 1)]);
    }
    let stats = budget.stats();
    assert_eq!((stats.withdrawn, stats.failed), (0, 2));
}

/// What is counted of a request that was refused once.
async fn refused_once<P, R>(
    budget: &Budget,
    layer: RetryLayer<P, R>,
    world: &World,
) -> (u64, Vec<(&'static str, u64)>)
where
    P: Policy<Request, &'static str, Failure>,
    R: Replay<Request>,
{
    let response = layer.layer(world.probe()).oneshot(Request::default());
    assert_eq!(response.await, Err(Failure("refused")));
    (budget.stats().failed, refusals(layer.stats()))
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_again_after_all_has_failed() {
    let budget = tokens(20);
    let world = || World::answering([REFUSED]);
    let builder = || builder(&budget, ONLY_RESEND).resends(1);

    let broken = builder().replay(Broken { known: true }).build().unwrap();
    let counted = refused_once(&budget, broken, &world()).await;
    assert_eq!(counted, (1, vec![("not_replayable", 1)]));

    let now = Instant::now();
    let late = builder().deadline(move |_: &Request| Some(now));
    let counted = refused_once(&budget, late.build().unwrap(), &world()).await;
    assert_eq!(counted, (2, vec![("past_deadline", 1)]));

    let busy = world();
    busy.then_ready([Readiness::Ready]);
    busy.then_ready(vec![Readiness::Pending; 16]);
    let counted = refused_once(&budget, builder().build().unwrap(), &busy).await;
    assert_eq!(counted, (3, vec![("not_ready", 1)]));
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_for_a_retry_is_kept_for_a_resend() {
    let budget = tokens(20);
    let layer = layer(&budget, 2, 1, ONLY_RETRY);
    let world = World::answering([REFUSED, FINE]);
    assert_eq!(send(&mut layer.layer(world.probe())).await.0, Ok("fine"));
    assert_eq!((layer.stats().resent, layer.stats().retries), (1, 0));
    assert_eq!(budget.stats().withdrawn, 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_resend_left_it_is_a_retry() {
    for resends in [0, 1] {
        let budget = tokens(20);
        let layer = layer(&budget, 2, resends, BOTH);
        let refused = vec![REFUSED; resends as usize + 1];
        let world = World::answering(refused.into_iter().chain([FINE]));
        assert_eq!(send(&mut layer.layer(world.probe())).await.0, Ok("fine"));
        let stats = layer.stats();
        assert_eq!((stats.resent, stats.retries), (u64::from(resends), 1));
        assert_eq!((stats.recovered, budget.stats().withdrawn), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn retries_keep_all_their_attempts_wherever_the_resends_come() {
    for (resends, at) in [(1, vec![0]), (1, vec![1]), (1, vec![2]), (3, vec![0, 1, 2])] {
        let budget = tokens(20);
        let layer = layer(&budget, 3, resends, BOTH);
        let answers = (0..3).flat_map(|attempt| {
            let refused = at.contains(&attempt).then_some(REFUSED);
            refused.into_iter().chain([BUSY])
        });
        let world = World::answering(answers.collect::<Vec<_>>());
        let (result, clones) = send(&mut layer.layer(world.probe())).await;
        assert_eq!(result, Ok("busy"));
        assert_eq!(world.calls().len(), 3 + at.len(), "{at:?}");
        let stats = layer.stats();
        assert_eq!((stats.resent, stats.retries), (at.len() as u64, 2));
        assert_eq!(refusals(stats), [("out_of_attempts", 1)]);
        assert_eq!(budget.stats().withdrawn, 2);
        // The first of them is made before the first attempt.
        assert_eq!(clones, 2 + at.len(), "none for the last of all: {at:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_for_a_resend_only_is_not_retried() {
    let not_retryable = (3, ONLY_RESEND, tokens(20), "not_retryable");
    let one_attempt = (1, BOTH, tokens(20), "out_of_attempts");
    let no_token = (3, BOTH, spent(1.0, 20), "exhausted");
    for (attempts, may, budget, reason) in [not_retryable, one_attempt, no_token] {
        for resends in [1, 2] {
            let layer = layer(&budget, attempts, resends, may);
            let world = World::answering([REFUSED, BUSY]);
            let mut service = task::spawn(layer.layer(world.probe()));
            let ready =
                service.enter(|cx, mut service| Service::<Request>::poll_ready(&mut *service, cx));
            assert!(ready.is_ready());
            let mut response = task::spawn(service.call(Request::default()));
            if reason == "exhausted" {
                // What was refused before the first attempt stays refused.
                budget.deposit();
            }
            let withdrawn = budget.stats().withdrawn;
            assert_ready_eq!(response.poll(), Ok("busy"));
            assert_eq!(refusals(layer.stats()), [(reason, 1)]);
            assert_eq!((layer.stats().resent, layer.stats().retries), (1, 0));
            assert_eq!(budget.stats().withdrawn, withdrawn);
            while budget.try_withdraw(Kind::Transient).is_ok() && reason == "exhausted" {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_attempt_waits_for_nothing_but_the_mock() {
    let builder = RetryLayer::builder(tokens(20))
        .policy(ONLY_RESEND)
        .attempts(1);
    let layer = builder.resends(1).build().unwrap();
    let (mut service, mut handle) = mock::spawn_layer(layer.clone());
    assert!(service.poll_ready().is_ready());
    let mut response = task::spawn(service.call("post"));
    assert_pending!(response.poll());
    assert_request_eq!(handle, "post").send_error(Failure("refused"));
    assert_pending!(response.poll());
    assert_eq!(layer.stats().resent, 1, "within one poll");
    assert_request_eq!(handle, "post").send_response("fine");
    assert_eq!(assert_ready_ok!(response.poll()), "fine");
}

#[tokio::test(start_paused = true)]
async fn every_verdict_is_counted_once() {
    let budget = tokens(30);
    let layer = layer(&budget, 3, 2, BOTH);
    let mut attempts = 0;
    for round in 0..60_usize {
        // Every order of up to four outcomes that are no successes.
        let answers = (0..round % 5).map(|place| match round >> place & 1 {
            0 => REFUSED,
            _ => BUSY,
        });
        let world = World::answering(answers.chain([FINE]));
        let _ = send(&mut layer.layer(world.probe())).await;
        attempts += world.calls().len() as u64;
    }
    let stats = layer.stats();
    assert_eq!(attempts, stats.requests + stats.retries + stats.resent);
    let refused: u64 = refusals(stats).iter().map(|(_, count)| count).sum();
    assert_eq!(stats.requests, budget.stats().deposited + refused);
    assert_eq!(stats.retries, budget.stats().withdrawn);
    assert!(stats.exhausted > 0 && stats.out_of_attempts > 0 && stats.resent > 20);
}

/// Sends what cannot be sent twice.
#[derive(Clone, Copy)]
struct Once;

impl Replay<Request> for Once {
    type Request = Request;
    type Spare = ();

    fn plain(&self, request: Request) -> Request {
        request
    }

    fn first(&self, request: Request) -> (Request, Option<()>) {
        (request, None)
    }

    fn again(&self, (): &mut ()) -> Option<Request> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn of_what_cannot_be_kept_the_reason_against_a_retry_counts_first() {
    for (may, reason) in [(ONLY_RESEND, "not_retryable"), (BOTH, "not_replayable")] {
        let budget = tokens(20);
        let layer = builder(&budget, may).resends(2).replay(Once);
        let layer = layer.build().unwrap();
        let world = World::answering([REFUSED]);
        let (result, _) = send(&mut layer.layer(world.probe())).await;
        assert_eq!(result, Err(Failure("refused")));
        assert_eq!(refusals(layer.stats()), [(reason, 1)]);
    }
}

//! What must not be sent twice is not, however slow it is.

use std::sync::{Arc, Mutex};

use tower::{Layer, Service, ServiceExt, service_fn};
use tower_retry_budget::{
    Kind, Next, OnError, Policy, Replay, Verdict,
    hedge::{Hedge, HedgeLayer},
};

#[path = "support/backend.rs"]
mod backend;

use backend::{Backend, Failure, Instance, MS, Outcome, builder, learnt, send, tokens};

/// Requests are named; those that begin with `get` may be sent twice.
#[derive(Clone, Copy, Debug)]
struct Gets;

impl Policy<&'static str, &'static str, Failure> for Gets {
    fn retryable(&self, request: &&'static str) -> bool {
        request.starts_with("get")
    }

    fn classify(&self, result: Result<&&'static str, &Failure>) -> Verdict {
        backend::by_text(result)
    }
}

async fn ask(service: &mut Hedge<Instance, Gets>, request: &'static str) -> Outcome {
    let service = ServiceExt::<&'static str>::ready(service).await?;
    service.call(request).await
}

#[tokio::test(start_paused = true)]
async fn what_the_policy_forbids_is_sent_once_and_teaches_nothing() {
    let (budget, backend) = (tokens(50), Backend::default());
    let layer = HedgeLayer::new(budget.clone(), Gets);
    let mut service = layer.layer(backend.instance());
    for _ in 0..200 {
        ask(&mut service, "get").await.expect("answered");
    }
    let learnt = layer.stats().delay.expect("known");
    // So many that the quantile would be theirs.
    backend.usually_takes(100 * MS);
    for _ in 0..20 {
        assert_eq!(ask(&mut service, "post").await, Ok("ok"));
    }
    let stats = layer.stats();
    assert_eq!((stats.requests, stats.not_retryable), (220, 20));
    assert_eq!((stats.hedged, budget.stats().withdrawn), (0, 0));
    assert_eq!(backend.calls().len(), 220);
    backend.usually_takes(10 * MS);
    ask(&mut service, "get").await.expect("answered");
    let delay = layer.stats().delay.expect("known");
    assert_eq!(delay, learnt, "what may not be hedged teaches nothing");
}

/// Says that its spare is not, or not all, there.
#[derive(Clone, Copy, Debug)]
enum Half {
    NoSpare,
    Spent,
    Incomplete,
    NotAgain,
}

impl Replay<()> for Half {
    type Request = ();
    type Spare = ();

    fn plain(&self, (): ()) {}

    fn first(&self, (): ()) -> ((), Option<()>) {
        ((), (!matches!(self, Self::NoSpare)).then_some(()))
    }

    fn replayable(&self, (): &()) -> bool {
        !matches!(self, Self::Spent)
    }

    fn complete(&self, (): &()) -> bool {
        !matches!(self, Self::Incomplete)
    }

    fn again(&self, (): &mut ()) -> Option<()> {
        (!matches!(self, Self::NotAgain)).then_some(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_made_again_in_whole_is_sent_once() {
    for replay in [Half::NoSpare, Half::Spent, Half::Incomplete, Half::NotAgain] {
        let (budget, backend) = (tokens(5), Backend::default());
        let layer = builder(&budget).replay(replay).build().expect("valid");
        let mut service = learnt(&layer, &backend).await;
        backend.will_answer([(100 * MS, Ok("slow"))]);
        assert_eq!(send(&mut service).await, Ok("slow"), "{replay:?}");
        assert_eq!(backend.calls().len(), 1, "{replay:?}");
        let stats = layer.stats();
        assert_eq!((stats.hedged, stats.not_replayable), (0, 1), "{replay:?}");
        assert_eq!(budget.stats().withdrawn, 0, "{replay:?}");
    }
}

/// Requests that tell which attempt they are.
#[tokio::test(start_paused = true)]
async fn a_second_attempt_is_touched_up_and_a_first_is_not() {
    let seen: Arc<Mutex<Vec<u32>>> = Arc::default();
    let noted = Arc::clone(&seen);
    let layer = HedgeLayer::builder(tokens(5), OnError).prepare(|attempt: &mut u32, next: Next| {
        assert_eq!((next.kind, next.resend), (Kind::Hedge, false));
        *attempt = next.attempt;
    });
    let layer = layer.build().expect("valid");
    let mut service = layer.layer(service_fn(move |attempt: u32| {
        noted.lock().expect("no panic").push(attempt);
        let answered = noted.lock().expect("no panic").len();
        let latency = if answered == 201 { 100 * MS } else { 10 * MS };
        async move {
            tokio::time::sleep(latency).await;
            Ok::<_, Failure>(())
        }
    }));
    for _ in 0..201 {
        service
            .ready()
            .await
            .unwrap()
            .call(1)
            .await
            .expect("answered");
    }
    let seen = seen.lock().expect("no panic");
    assert_eq!(seen[..201], [1; 201]);
    assert_eq!(seen[201..], [2]);
}

#[cfg(feature = "http")]
mod http {
    use ::http::{Method, Request, Response};
    use tower_retry_budget::http::StatusPolicy;

    use super::{backend::Failure, *};

    /// Of requests of this method that take half a second, after as many that took ten
    /// milliseconds as are learnt from.
    async fn hedged(policy: StatusPolicy, method: Method) -> u64 {
        let layer = HedgeLayer::new(tokens(50), policy);
        let mut service = layer.layer(service_fn(async |request: Request<bool>| {
            let is_slow = *request.body();
            tokio::time::sleep(if is_slow { 500 * MS } else { 10 * MS }).await;
            Ok::<_, Failure>(Response::new(()))
        }));
        for number in 0..205 {
            let mut request = Request::new(number >= 200);
            *request.method_mut() = method.clone();
            if number < 200 {
                *request.method_mut() = Method::GET;
            }
            let ready = service.ready().await.expect("ready");
            ready.call(request).await.expect("answered");
        }
        layer.stats().hedged
    }

    #[tokio::test(start_paused = true)]
    async fn a_post_is_hedged_only_where_it_is_allowed() {
        let rules = StatusPolicy::new;
        assert_eq!(hedged(rules(), Method::POST).await, 0);
        assert_eq!(hedged(rules(), Method::PATCH).await, 0);
        assert_eq!(hedged(rules(), Method::GET).await, 5);
        let all = rules().methods([Method::GET, Method::POST]);
        assert_eq!(hedged(all, Method::POST).await, 5);
    }
}

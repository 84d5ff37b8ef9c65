//! `tower::hedge`: what is sent, and what is returned.

use std::{marker::PhantomData, task::Poll, time::Duration};

use tower::{Layer, Service, ServiceExt, hedge, limit::ConcurrencyLimit};
use tower_retry_budget::hedge::Hedge;

use crate::{
    backend::{Backend, ByText, Failure, Instance, MS, Outcome, layer, learnt, send, tokens},
    theirs::{panics, still},
};

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(crate) struct Always;

impl hedge::Policy<()> for Always {
    fn clone_request(&self, (): &()) -> Option<()> {
        Some(())
    }

    fn can_retry(&self, (): &()) -> bool {
        true
    }
}

pub(crate) type Theirs<S = Instance> = hedge::Hedge<S, Always>;

/// One that has learnt from 200 answers after 10 ms each.
fn theirs<S>(service: S) -> Theirs<S>
where
    S: Service<(), Error = Failure> + Clone,
{
    hedge::Hedge::new_with_mock_latencies(service, Always, 10, 0.95, MINUTE, &[10; 200])
}

/// The outcome in tower's words.
pub(crate) async fn send_theirs(service: &mut Theirs) -> Result<&'static str, String> {
    let ready = ServiceExt::<()>::ready(service).await;
    let response = ready.map_err(|error| error.to_string())?.call(());
    response.await.map_err(|error| error.to_string())
}

type Answers = [(Duration, Outcome); 2];

#[tokio::test(start_paused = true)]
async fn an_early_error_does_not_beat_a_pending_sibling() {
    let fails_second: fn() -> Answers = || [(50 * MS, Ok("fine")), (MS, Err(Failure("reset")))];
    let fails_first: fn() -> Answers = || [(15 * MS, Err(Failure("reset"))), (50 * MS, Ok("fine"))];
    for answers in [fails_second, fails_first] {
        let [mine, yours] = [Backend::default(), Backend::default()];
        let mut ours = learnt(&layer(&tokens(5)), &mine).await;
        mine.will_answer(answers());
        assert_eq!(send(&mut ours).await, Ok("fine"));

        yours.will_answer(answers());
        let outcome = send_theirs(&mut theirs(yours.instance())).await;
        still(outcome == Err("reset".to_owned()), "an early error wins");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_for_the_second_does_not_end_the_first() {
    let readiness = || [Poll::Ready(Ok("")), Poll::Ready(Err(Failure("down")))];
    let [mine, yours] = [Backend::default(), Backend::default()];
    let layer = layer(&tokens(5));
    let mut ours = learnt(&layer, &mine).await;
    for backend in [&mine, &yours] {
        backend.will_answer([(50 * MS, Ok("fine"))]);
        backend.will_be(readiness());
    }
    assert_eq!(send(&mut ours).await, Ok("fine"));
    assert_eq!(layer.stats().not_ready, 1);

    let outcome = send_theirs(&mut theirs(yours.instance())).await;
    still(
        outcome == Err("down".to_owned()),
        "an error of readiness for a hedge fails the request",
    );
}

#[tokio::test(start_paused = true)]
async fn where_everything_slows_hedges_stay_within_a_budget() {
    let [mine, yours] = [Backend::default(), Backend::default()];
    let mut ours = learnt(&layer(&tokens(5)), &mine).await;
    let mut theirs = theirs(yours.instance());
    mine.usually_takes(100 * MS);
    yours.usually_takes(100 * MS);
    for _ in 0..100 {
        send(&mut ours).await.unwrap();
        send_theirs(&mut theirs).await.unwrap();
    }
    assert_eq!(mine.calls().len(), 105);
    still(yours.calls().len() == 200, "nothing bounds the hedges");
}

#[tokio::test(start_paused = true)]
async fn what_is_quick_clones_no_service() {
    let [mine, yours] = [Backend::default(), Backend::default()];
    let mut ours = learnt(&layer(&tokens(5)), &mine).await;
    let mut theirs = theirs(yours.instance());
    let before = [mine.instances(), yours.instances()];
    for _ in 0..100 {
        send(&mut ours).await.unwrap();
        send_theirs(&mut theirs).await.unwrap();
    }
    assert_eq!(mine.instances(), before[0]);
    let clones = yours.instances() - before[1];
    still(clones >= 100, "the service is cloned for each request");
}

/// tower #472 was about this. It has been mended there.
#[tokio::test(start_paused = true)]
async fn a_service_that_takes_one_request_at_a_time_is_served() {
    let backend = Backend::default();
    let layer = layer(&tokens(5));
    drop(learnt(&layer, &backend).await);
    backend.usually_takes(50 * MS);
    let limited = ConcurrencyLimit::new(backend.instance(), 1);
    assert_eq!(layer.layer(limited).oneshot(()).await, Ok("ok"));
    let limited = ConcurrencyLimit::new(backend.instance(), 1);
    assert_eq!(theirs(limited).oneshot(()).await.unwrap(), "ok");
}

/// What holds is told by the compiler, where it picks one of two constants.
macro_rules! is_clone {
    ($type:ty) => {{
        #[allow(dead_code, reason = "only its constant is used")]
        struct Is<T>(PhantomData<T>);
        #[allow(dead_code, reason = "its constant, where that of `Is` does not hold")]
        trait Otherwise {
            const CLONE: bool = false;
        }
        impl<T> Otherwise for Is<T> {}
        impl<T: Clone> Is<T> {
            #[allow(dead_code, reason = "where it holds")]
            const CLONE: bool = true;
        }
        <Is<$type>>::CLONE
    }};
}

#[test]
fn it_can_be_cloned() {
    assert!(is_clone!(Hedge<Instance, ByText>));
    let theirs = is_clone!(Theirs);
    still(!theirs, "it cannot be cloned");
}

#[tokio::test(start_paused = true)]
async fn a_bad_setting_is_an_error() {
    let bad = crate::backend::builder(&tokens(5)).window(Duration::ZERO);
    assert!(bad.build().is_err());

    let instance = Backend::default().instance();
    let mut theirs = hedge::Hedge::new(instance, Always, 10, 0.95, Duration::ZERO);
    ServiceExt::<()>::ready(&mut theirs).await.unwrap();
    let call = panics(|| theirs.call(()));
    still(call, "a period of zero is a panic, at the first request");
}

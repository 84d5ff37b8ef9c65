//! What is wrong with `tower::timeout` and is right here: each test would fail with tower's layer, and
//! says so.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
    time::Duration,
};

use tokio::time::{advance, timeout};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{
    BoxError, Layer, Service, ServiceExt, service_fn,
    timeout::{Timeout, TimeoutLayer, error::Elapsed as TowerElapsed},
};
use tower_test::mock;
use tower_timeout_ewma::{AdaptiveTimeoutLayer, Builder, error::Elapsed};

mod support;
use support::{Probe, Reply, odd_ms};

const LIMIT: Duration = Duration::from_millis(10);

#[tokio::test(start_paused = true)]
async fn a_service_that_is_never_ready_is_given_up() {
    async fn is_given_up<L>(layer: L) -> bool
    where
        L: Layer<mock::Mock<(), ()>>,
        L::Service: Service<(), Response = (), Error = BoxError>,
    {
        let (service, mut handle) = mock::pair();
        handle.allow(0);
        let answer = layer.layer(service).oneshot(());
        timeout(Duration::from_secs(3600), answer).await.is_ok()
    }
    assert!(!is_given_up(TimeoutLayer::new(LIMIT)).await);
    assert!(
        !is_given_up(AdaptiveTimeoutLayer::fixed(LIMIT)).await,
        "as tower's"
    );
    assert!(is_given_up(Builder::default().readiness(LIMIT).build_fixed(LIMIT)).await);
}

#[tokio::test(start_paused = true)]
async fn the_error_says_how_long_it_took_and_what_the_limit_was() {
    let tower = Timeout::new(Probe::default(), LIMIT);
    let error = tower.oneshot(Reply::Never).await.unwrap_err();
    assert_eq!(error.to_string(), "request timed out");
    assert!(error.is::<TowerElapsed>());

    let ours = AdaptiveTimeoutLayer::fixed(LIMIT).layer(Probe::default());
    let error = ours.oneshot(Reply::Never).await.unwrap_err();
    let elapsed = error.downcast_ref::<Elapsed>().unwrap();
    assert_eq!(elapsed.limit(), LIMIT);
    assert!(elapsed.elapsed() >= LIMIT);
    assert!(error.to_string().contains("the limit was 10ms"));
}

#[test]
fn an_answer_at_once_needs_no_runtime() {
    fn is_answered<S>(service: S) -> bool
    where
        S: Service<Reply, Response = &'static str, Error = BoxError>,
    {
        let answer = || assert_ready_ok!(task::spawn(service.oneshot(Reply::Now)).poll());
        catch_unwind(AssertUnwindSafe(answer)).is_ok()
    }
    assert!(!is_answered(Timeout::new(Probe::default(), LIMIT)));
    assert!(is_answered(
        AdaptiveTimeoutLayer::fixed(LIMIT).layer(Probe::default())
    ));
    assert!(is_answered(
        AdaptiveTimeoutLayer::new().layer(Probe::default())
    ));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_timed_out_is_dropped_though_its_response_is_held() {
    async fn left_in_flight<L>(layer: L) -> usize
    where
        L: Layer<Probe>,
        L::Service: Service<Reply, Response = &'static str, Error = BoxError>,
    {
        let probe = Probe::default();
        let counts = probe.counts.clone();
        let mut service = layer.layer(probe);
        let mut response = task::spawn(service.ready().await.unwrap().call(Reply::Never));
        assert_pending!(response.poll());
        advance(odd_ms(11)).await;
        assert_ready_err!(response.poll());
        counts.in_flight()
    }
    assert_eq!(left_in_flight(TimeoutLayer::new(LIMIT)).await, 1);
    assert_eq!(left_in_flight(AdaptiveTimeoutLayer::fixed(LIMIT)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_uses_up_its_tasks_budget_is_ended() {
    async fn is_ended<F: Future<Output: Send> + Send + 'static>(response: F) -> bool {
        let task = tokio::spawn(response);
        for _ in 0..50 {
            advance(odd_ms(1)).await;
            tokio::task::yield_now().await;
        }
        let is_ended = task.is_finished();
        task.abort();
        is_ended
    }
    let greedy = || {
        service_fn(async |()| {
            poll_fn(|cx| {
                while tokio::task::coop::poll_proceed(cx)
                    .map(|coop| coop.made_progress())
                    .is_ready()
                {}
                cx.waker().wake_by_ref();
                Poll::<Result<(), BoxError>>::Pending
            })
            .await
        })
    };
    assert!(!is_ended(Timeout::new(greedy(), LIMIT).oneshot(())).await);
    assert!(
        is_ended(
            AdaptiveTimeoutLayer::fixed(LIMIT)
                .layer(greedy())
                .oneshot(())
        )
        .await
    );
}

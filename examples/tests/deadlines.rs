//! One deadline for retries, timeouts and the server: the layers do not know of each other, and meet
//! in the request's extensions.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Request;
use tokio::time::{Instant, sleep};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_retry_budget::{Backoff, Budget, RetryLayer};
use tower_timeout_ewma::{
    AdaptiveTimeoutLayer, BoxError,
    deadline::{Deadline, DeadlineLayer, http::HttpDeadline},
    error::{Elapsed, Expired},
    grpc_timeout::GrpcTimeout,
    http::UntilDeadline,
};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// When each attempt arrived, and how long it was told to have.
type Attempts = Arc<Mutex<Vec<(Instant, Duration)>>>;

#[tokio::test(start_paused = true)]
async fn retries_end_in_time_and_the_server_is_told_what_is_left() {
    let attempts = Attempts::default();
    let deadline = Instant::now() + MS(500);
    let error = stack(&attempts, Some(MS(130))).oneshot(request()).await;
    let error = error.unwrap_err();
    assert!(Instant::now() <= deadline + MS(2), "in time");

    let attempts = attempts.lock().unwrap();
    assert!(attempts.len() >= 3, "{attempts:?}");
    for (arrived, told) in attempts.iter() {
        let left = deadline.saturating_duration_since(*arrived);
        assert!(*arrived < deadline, "sent too late");
        assert!(left <= *told && *told < left + MS(1), "{left:?} {told:?}");
    }
    // The last one was cut off by one of the two that know the deadline.
    assert!(error.is::<Elapsed>() || error.is::<Expired>(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_an_attempt_is_what_is_left() {
    let attempts = Attempts::default();
    let service = stack(&attempts, None);
    let error = service.oneshot(request()).await.unwrap_err();
    // The timeout's limit is a second, the deadline's half.
    match error.downcast_ref::<Elapsed>() {
        Some(elapsed) => assert_eq!(elapsed.limit(), MS(500)),
        None => assert!(error.is::<Expired>(), "{error}"),
    }
    assert_eq!(attempts.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn expired_work_reaches_nobody() {
    let attempts = Attempts::default();
    let expired = Request::get("/").header("grpc-timeout", "0n").body(());
    let error = stack(&attempts, None).oneshot(expired.unwrap()).await;
    let error = error.unwrap_err();
    assert!(error.downcast_ref::<Expired>().unwrap().before_start());
    assert!(attempts.lock().unwrap().is_empty());
}

fn request() -> Request<()> {
    let request = Request::get("/").header("grpc-timeout", "500m");
    request.body(()).unwrap()
}

/// Over a server that fails after so long, or never answers.
fn stack(
    attempts: &Attempts,
    fails_after: Option<Duration>,
) -> impl Service<Request<()>, Response = (), Error = BoxError> + use<> {
    let attempts = Arc::clone(attempts);
    let server = service_fn(move |request: Request<()>| {
        let told = GrpcTimeout::parse(request.headers()["grpc-timeout"].as_bytes()).unwrap();
        let arrived = (Instant::now(), told.duration());
        attempts.lock().unwrap().push(arrived);
        async move {
            match fails_after {
                Some(latency) => sleep(latency).await,
                None => std::future::pending().await,
            }
            Err::<(), _>(io::Error::other("out of order"))
        }
    });
    let retry = RetryLayer::builder(Budget::new())
        .attempts(100)
        .backoff(Backoff::new(MS(10), MS(20)).unwrap())
        .deadline(|request: &Request<()>| {
            let deadline = request.extensions().get::<Deadline>();
            deadline.map(|deadline| deadline.instant())
        });
    let timeout = AdaptiveTimeoutLayer::builder().limit_by(UntilDeadline);
    ServiceBuilder::new()
        .layer(DeadlineLayer::new(HttpDeadline::new()))
        .layer(retry.build().unwrap())
        .layer(timeout.build().unwrap())
        .layer(DeadlineLayer::new(HttpDeadline::new()))
        .service(server)
}

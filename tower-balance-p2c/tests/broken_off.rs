//! What an answer says of its endpoint by the way it ends.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{future::join_all, stream};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use tokio::time::sleep;
use tower::ServiceExt as _;
use tower_balance_p2c::{
    Balance, BalanceLayer, Change, Classify, Completion, EndpointStats, InFlight, Outcome,
    http::{AtEndOfBody, HttpClassify},
};
use tower_service::Service;

type Answer = UnsyncBoxBody<Bytes, &'static str>;
type Pool<C = HttpClassify, T = AtEndOfBody> = Balance<u8, Server, Request, C, T>;

/// What the server is to do.
type Request = fn(u8) -> (Duration, Result<Response<Answer>, &'static str>);

#[derive(Clone)]
struct Server(u8);

impl Service<Request> for Server {
    type Response = Response<Answer>;
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, &'static str>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (latency, result) = request(self.0);
        Box::pin(async move {
            sleep(latency).await;
            result
        })
    }
}

fn answer(frames: Vec<Result<Frame<Bytes>, &'static str>>) -> Response<Answer> {
    Response::new(StreamBody::new(stream::iter(frames)).boxed_unsync())
}

fn data() -> Result<Frame<Bytes>, &'static str> {
    Ok(Frame::data(Bytes::from_static(b"data")))
}

fn trailers(grpc_status: &str) -> Result<Frame<Bytes>, &'static str> {
    let value = HeaderValue::from_str(grpc_status).unwrap();
    let fields = [("grpc-status".parse().unwrap(), value)];
    Ok(Frame::trailers(HeaderMap::from_iter(fields)))
}

const MILLISECOND: Duration = Duration::from_millis(1);

const WHOLE: Request = |_| (MILLISECOND, Ok(answer(vec![data(), data()])));
const BROKEN: Request = |_| (MILLISECOND, Ok(answer(vec![data(), Err("broken")])));
const ERROR: Request = |_| (MILLISECOND, Err("no answer"));

fn pool<C, T>(classify: C, completion: T, servers: &[u8]) -> Pool<C, T>
where
    C: Classify<Response<Answer>, &'static str> + Clone,
    T: Completion<Response<Answer>> + Clone,
{
    let builder = BalanceLayer::builder().classify(classify);
    let layer = builder.completion(completion).build().unwrap();
    let inserts = servers.iter().map(|&key| Change::Insert(key, Server(key)));
    let inserts = inserts.map(Ok::<_, Infallible>).collect::<Vec<_>>();
    let (balance, driver) = layer.pair(stream::iter(inserts));
    tokio::spawn(driver);
    balance
}

fn by_default() -> Pool {
    pool(HttpClassify, AtEndOfBody, &[1])
}

/// Sends a request and reads the answer, if there is one, to its end.
async fn send<C, T, B>(pool: &Pool<C, T>, request: Request)
where
    C: Classify<Response<Answer>, &'static str>,
    T: Completion<Response<Answer>, Output = Response<B>>,
    B: Body<Data = Bytes>,
{
    if let Ok(response) = pool.clone().oneshot(request).await {
        let _ = response.into_body().collect().await;
    }
}

fn seen<C, T>(pool: &Pool<C, T>) -> EndpointStats<u8> {
    let seen = pool.stats().endpoints.remove(0);
    assert_eq!(seen.in_flight, 0);
    seen
}

fn counts<C, T>(pool: &Pool<C, T>) -> (u64, u64) {
    let seen = seen(pool);
    (seen.requests, seen.failures)
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_one_request_and_one_failure() {
    let (broken, failed) = (by_default(), by_default());
    for count in 1..=20 {
        send(&broken, BROKEN).await;
        send(&failed, ERROR).await;
        assert_eq!(counts(&broken), (count, count));
        // The good beginning of each answer does not make up for its end.
        let (broken, failed) = (seen(&broken).success, seen(&failed).success);
        assert!((broken - failed).abs() < 0.01, "{broken} {failed}");
    }
    assert!(seen(&broken).success < 0.1);
    assert_eq!(seen(&broken).latency, Some(MILLISECOND), "of the head");
    assert_eq!(seen(&failed).latency, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_whole_and_what_its_reader_leaves_are_no_failures() {
    let pool = by_default();
    send(&pool, WHOLE).await;
    let unread = pool.clone().oneshot(BROKEN).await.unwrap();
    let mut begun = pool.clone().oneshot(BROKEN).await.unwrap();
    begun.body_mut().frame().await.unwrap().unwrap();
    drop((unread, begun));
    assert_eq!(counts(&pool), (3, 0));
    assert_eq!(seen(&pool).success, 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_success_is_one_when_it_is_whole() {
    let pool = by_default();
    send(&pool, ERROR).await;
    let failed = seen(&pool).success;
    let response = pool.clone().oneshot(WHOLE).await.unwrap();
    let begun = pool.stats().endpoints.remove(0);
    assert_eq!((begun.in_flight, begun.requests), (1, 1));
    assert_eq!(begun.success, failed);
    response.into_body().collect().await.unwrap();
    let penalty = (1.0 - begun.success) * 7.0 / 8.0;
    assert!((seen(&pool).success - (1.0 - penalty)).abs() < 1e-9);
    assert_eq!(counts(&pool), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn one_that_failed_by_its_status_does_not_fail_twice() {
    const BROKEN_503: Request = |_| {
        let mut response = answer(vec![data(), Err("broken")]);
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        (MILLISECOND, Ok(response))
    };
    const FAILED_TWICE: Request = |_| {
        let mut response = answer(vec![trailers("14")]);
        let status = HeaderValue::from_static("14");
        response.headers_mut().insert("grpc-status", status);
        (MILLISECOND, Ok(response))
    };
    for request in [BROKEN_503, FAILED_TWICE] {
        let pool = by_default();
        send(&pool, request).await;
        assert_eq!(counts(&pool), (1, 1));
        assert_eq!(seen(&pool).success, 7.0 / 8.0);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_was_neutral_is_counted_when_it_breaks_off() {
    let neutral = |_: Result<&Response<Answer>, &&'static str>| Outcome::Neutral;
    let pool = pool(neutral, AtEndOfBody, &[1]);
    send(&pool, WHOLE).await;
    assert_eq!(counts(&pool), (0, 0));
    send(&pool, BROKEN).await;
    assert_eq!(counts(&pool), (1, 1));
    assert_eq!(seen(&pool).success, 7.0 / 8.0);
}

#[tokio::test(start_paused = true)]
async fn errors_that_are_not_to_be_blamed_are_no_failures() {
    const RESET: Request = |_| (MILLISECOND, Ok(answer(vec![Err("reset by ourselves")])));
    let blame = |error: &&'static str| *error != "reset by ourselves";
    let completion = AtEndOfBody.blame(blame);
    assert_eq!(format!("{completion:?}"), "AtEndOfBodyBlaming { .. }");
    let pool = pool(HttpClassify, completion, &[1]);
    send(&pool, RESET).await;
    assert_eq!(counts(&pool), (1, 0));
    assert_eq!(seen(&pool).success, 1.0);
    send(&pool, BROKEN).await;
    assert_eq!(counts(&pool), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn grpc_statuses_in_trailers_count_like_those_in_the_head() {
    const TRAILERS: [Request; 17] = {
        macro_rules! ending { ($($status:literal)+) => {
            [$(|_| (MILLISECOND, Ok(answer(vec![data(), trailers($status)])))),+]
        }}
        ending!("0" "1" "2" "3" "4" "5" "6" "7" "8" "9" "10" "11" "12" "13" "14" "15" "16")
    };
    for (status, request) in TRAILERS.into_iter().enumerate() {
        let pool = by_default();
        send(&pool, request).await;
        let failures = u64::from([2, 4, 8, 13, 14, 15].contains(&status));
        assert_eq!(counts(&pool), (1, failures), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_trailers_is_one_failure_whatever_is_polled_after_it() {
    const MORE: Request = |_| (MILLISECOND, Ok(answer(vec![trailers("13"), Err("broken")])));
    let pool = by_default();
    let mut response = pool.clone().oneshot(MORE).await.unwrap();
    let body = response.body_mut();
    assert!(body.frame().await.unwrap().unwrap().is_trailers());
    assert_eq!(counts(&pool), (1, 1), "and not in flight any more");
    assert_eq!(body.frame().await.unwrap().unwrap_err(), "broken");
    assert!(body.frame().await.is_none());
    drop(response);
    assert_eq!(counts(&pool), (1, 1));
}

/// Fails each request after the fact.
#[derive(Clone)]
struct Afterwards;

impl Completion<Response<Answer>> for Afterwards {
    type Output = Response<Answer>;

    fn complete(&self, in_flight: InFlight, response: Response<Answer>) -> Response<Answer> {
        in_flight.failed();
        response
    }
}

#[tokio::test(start_paused = true)]
async fn a_completion_of_ones_own_can_say_so_too() {
    let pool = pool(HttpClassify, Afterwards, &[1]);
    send(&pool, WHOLE).await;
    assert_eq!(counts(&pool), (1, 1));
    assert_eq!(seen(&pool).success, 7.0 / 8.0);
}

#[tokio::test(start_paused = true)]
async fn breaking_off_early_attracts_no_requests() {
    const MIXED: Request = |server| match server {
        1 => BROKEN(server),
        _ => (20 * MILLISECOND, Ok(answer(vec![data()]))),
    };
    let pool = pool(HttpClassify, AtEndOfBody, &[1, 2, 3]);
    let client = || async {
        for _ in 0..500 {
            send(&pool, MIXED).await;
        }
    };
    join_all((0..4).map(|_| client())).await;
    let endpoints = pool.stats().endpoints;
    let broken = endpoints.iter().find(|endpoint| endpoint.key == 1).unwrap();
    assert!(broken.failures == broken.requests && broken.requests > 0);
    assert!(broken.requests < 100, "{} of 2000", broken.requests);
}

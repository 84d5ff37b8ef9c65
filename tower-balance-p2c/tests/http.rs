//! Classification by status and gRPC status, and requests in flight until the end of the body.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::stream;
use http::{Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use tower::ServiceExt as _;
use tower_balance_p2c::{
    Balance, BalanceLayer, Change, Classify, Outcome,
    http::{AtEndOfBody, HttpClassify, TrackedBody},
};
use tower_service::Service;

type Answer = UnsyncBoxBody<Bytes, &'static str>;
type Pool = Balance<u8, Server, &'static str, HttpClassify, AtEndOfBody>;

/// Answers with the body that the request names.
#[derive(Clone)]
struct Server;

impl Service<&'static str> for Server {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Answer>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: &'static str) -> Self::Future {
        let frame = |text: &'static str| Ok(Frame::data(Bytes::from(text)));
        let never = |error: Infallible| match error {};
        let body = match request {
            "empty" => Empty::new().map_err(never).boxed_unsync(),
            "full" => Full::from("whole").map_err(never).boxed_unsync(),
            "stream" => StreamBody::new(stream::iter([frame("one"), frame("two")])).boxed_unsync(),
            _ => StreamBody::new(stream::iter([frame("one"), Err("broken")])).boxed_unsync(),
        };
        ready(Ok(Response::new(body)))
    }
}

async fn pool() -> Pool {
    let layer = BalanceLayer::builder()
        .classify(HttpClassify)
        .completion(AtEndOfBody)
        .build()
        .unwrap();
    let insert = Ok::<_, Infallible>(Change::Insert(1, Server));
    let (balance, driver) = layer.pair(stream::iter([insert]));
    tokio::spawn(driver);
    balance
}

async fn body(pool: &Pool, request: &'static str) -> TrackedBody<Answer> {
    pool.clone().oneshot(request).await.unwrap().into_body()
}

fn in_flight(pool: &Pool) -> usize {
    pool.stats().endpoints[0].in_flight
}

#[tokio::test(start_paused = true)]
async fn in_flight_until_the_last_frame() {
    let pool = pool().await;
    let mut streamed = body(&pool, "stream").await;
    assert_eq!(in_flight(&pool), 1);
    for expected in ["one", "two"] {
        let frame = streamed.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), expected);
        assert_eq!(in_flight(&pool), 1);
    }
    assert!(streamed.frame().await.is_none());
    assert_eq!(in_flight(&pool), 0);
    assert_eq!(pool.stats().endpoints[0].requests, 1);
    drop(streamed);
    assert_eq!(in_flight(&pool), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_knows_its_end_is_not_polled_past_it() {
    let pool = pool().await;
    let mut full = body(&pool, "full").await;
    assert_eq!(in_flight(&pool), 1);
    assert_eq!(full.size_hint().exact(), Some(5));
    assert!(!full.is_end_stream());
    full.frame().await.unwrap().unwrap();
    assert!(full.is_end_stream());
    assert_eq!(in_flight(&pool), 0);
    let _empty = body(&pool, "empty").await;
    assert_eq!(in_flight(&pool), 0);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_body_and_its_drop_release_too() {
    let pool = pool().await;
    let mut broken = body(&pool, "broken").await;
    broken.frame().await.unwrap().unwrap();
    assert_eq!(in_flight(&pool), 1);
    assert_eq!(broken.frame().await.unwrap().unwrap_err(), "broken");
    assert_eq!(in_flight(&pool), 0);

    let [mut begun, unread] = [body(&pool, "stream").await, body(&pool, "stream").await];
    begun.frame().await.unwrap().unwrap();
    assert_eq!(in_flight(&pool), 2);
    drop(begun);
    drop(unread);
    assert_eq!(in_flight(&pool), 0);
}

fn classify(status: u16, grpc_status: Option<&str>) -> Outcome {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if let Some(grpc_status) = grpc_status {
        let value = grpc_status.parse().unwrap();
        response.headers_mut().insert("grpc-status", value);
    }
    HttpClassify.classify(Ok::<_, &Infallible>(&response))
}

#[test]
fn statuses() {
    for status in [200, 204, 301, 400, 404, 428, 431, 499] {
        assert_eq!(classify(status, None), Outcome::Success, "{status}");
    }
    for status in [429, 500, 501, 503, 599] {
        assert_eq!(classify(status, None), Outcome::Failure, "{status}");
        assert_eq!(classify(status, Some("0")), Outcome::Failure, "{status}");
    }
    for grpc_status in 0..=17 {
        let expected = match grpc_status {
            2 | 4 | 8 | 13 | 14 | 15 => Outcome::Failure,
            _ => Outcome::Success,
        };
        let found = classify(200, Some(&grpc_status.to_string()));
        assert_eq!(found, expected, "{grpc_status}");
    }
    assert_eq!(classify(200, Some("nonsense")), Outcome::Success);
    let error = HttpClassify.classify(Err::<&Response<()>, _>(&"broken"));
    assert_eq!(error, Outcome::Failure);
}

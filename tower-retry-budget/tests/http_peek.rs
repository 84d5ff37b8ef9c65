//! Codes in the trailers of answers that have arrived as a whole.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    convert::Infallible,
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use http_body_util::{BodyExt, Empty, channel::Channel};
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_retry_budget::http::{PeekTrailersLayer, Peeked, PeekedTrailers};

#[path = "support/script.rs"]
mod script;

use script::{
    Script,
    Step::{Broken, Data, Pending, Trailers},
    UNAVAILABLE, grpc, trailers,
};

async fn peek<B: Body + Unpin>(
    layer: PeekTrailersLayer,
    response: Response<B>,
) -> Response<Peeked<B>> {
    let mut response = Some(response);
    let service = service_fn(move |()| {
        let response = response.take().expect("one call");
        async { Ok::<_, Infallible>(response) }
    });
    layer.layer(service).oneshot(()).await.unwrap()
}

fn code<B>(response: &Response<B>) -> Option<&str> {
    let trailers = response.extensions().get::<PeekedTrailers>()?;
    trailers.fields()["grpc-status"].to_str().ok()
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_has_arrived_is_seen_and_the_body_is_whole() {
    let body = Script::new([Data(5), Data(6), UNAVAILABLE]);
    let response = peek(PeekTrailersLayer::new(), grpc(body)).await;
    assert_eq!(code(&response), Some("14"));
    let body = response.into_body();
    assert_eq!(body.size_hint().exact(), Some(11));
    assert!(!body.is_end_stream());
    let body = body.collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "14");
    assert_eq!(body.to_bytes().len(), 11);
}

#[tokio::test(start_paused = true)]
async fn with_a_limit_of_0_nothing_is_looked_into() {
    let body = Script::new([UNAVAILABLE]);
    let polls = body.polls.clone();
    let response = peek(PeekTrailersLayer::new().limit(0), grpc(body)).await;
    assert_eq!((code(&response), polls.load(Relaxed)), (None, 0));
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "14");
}

#[tokio::test(start_paused = true)]
async fn what_worked_is_not_marked() {
    for status in [&[("grpc-status", "0")][..], &[("other", "14")], &[]] {
        let body = Script::new([Data(5), Trailers(status)]);
        let response = peek(PeekTrailersLayer::new(), grpc(body)).await;
        assert_eq!(code(&response), None);
        assert_eq!(
            response
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .len(),
            5
        );
    }
}

#[tokio::test(start_paused = true)]
async fn headers_of_a_slow_stream_are_not_delayed_by_a_poll() {
    let (mut server, body) = Channel::<Bytes>::new(8);
    server.send_data("first".into()).await.unwrap();
    let start = Instant::now();
    let response = peek(PeekTrailersLayer::new(), grpc(body)).await;
    assert_eq!(Instant::now(), start);
    assert_eq!(code(&response), None);
    let mut body = response.into_body();
    assert!(body.size_hint().lower() >= 5);
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "first");
    let mut next = task::spawn(body.frame());
    assert_pending!(next.poll());
    server.send_data("second".into()).await.unwrap();
    assert!(next.is_woken(), "by who reads it now");
    let second = assert_ready!(next.poll()).unwrap().unwrap();
    assert_eq!(second.into_data().unwrap(), "second");
    drop(next);
    server
        .send_trailers(trailers(&[("grpc-status", "14")]))
        .await
        .unwrap();
    drop(server);
    let rest = body.collect().await.unwrap();
    assert_eq!(rest.trailers().unwrap()["grpc-status"], "14");
}

#[tokio::test(start_paused = true)]
async fn no_more_is_read_than_the_limit_and_one_frame() {
    for (frames, limit, polls) in [
        (vec![Data(100); 9], 250, 3),
        (vec![Data(251); 9], 250, 1),
        (vec![Data(100); 9], 0, 0),
        // Small frames count for 64 bytes.
        (vec![Data(0); 9], 250, 4),
    ] {
        let total = frames.len();
        let body = Script::new(frames.into_iter().chain([UNAVAILABLE]));
        let counted = Arc::clone(&body.polls);
        let length = body.size_hint().exact();
        let response = peek(PeekTrailersLayer::new().limit(limit), grpc(body)).await;
        assert_eq!(counted.load(Relaxed), polls);
        assert_eq!(code(&response), None);
        assert_eq!(response.body().size_hint().exact(), length);
        let mut body = response.into_body();
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += usize::from(frame.is_data());
        }
        assert_eq!(read, total);
    }
}

#[tokio::test(start_paused = true)]
async fn other_answers_are_not_read() {
    let with_code = {
        let mut response = grpc(Script::new([Data(5), UNAVAILABLE]));
        let headers = response.headers_mut();
        headers.insert("grpc-status", "0".parse().unwrap());
        response
    };
    let html = Response::new(Script::new([Data(5), UNAVAILABLE]));
    for response in [with_code, html, grpc(Script::new([]))] {
        let polls = Arc::clone(&response.body().polls);
        let response = peek(PeekTrailersLayer::new(), response).await;
        assert_eq!(polls.load(Relaxed), 0);
        assert_eq!(code(&response), None);
    }
    let empty = peek(PeekTrailersLayer::new(), grpc(Empty::<Bytes>::new())).await;
    assert!(empty.body().is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_is_passed_on_with_its_error() {
    let body = Script::new([Data(5), Broken]);
    let response = peek(PeekTrailersLayer::new(), grpc(body)).await;
    let mut body = response.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    assert!(!body.is_end_stream(), "the error is still to come");
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn with_a_wait_more_is_seen_and_nothing_waits_longer() {
    let wait = Duration::from_millis(5);
    let layer = PeekTrailersLayer::new().wait(wait);
    let slow = Script::new([Data(5), Pending, UNAVAILABLE]);
    assert_eq!(code(&peek(layer, grpc(slow)).await), Some("14"));
    let slow = Script::new([Data(5), Pending, UNAVAILABLE]);
    assert_eq!(
        code(&peek(PeekTrailersLayer::new(), grpc(slow)).await),
        None
    );

    let (mut server, body) = Channel::<Bytes>::new(8);
    server.send_data("first".into()).await.unwrap();
    let start = Instant::now();
    let response = peek(layer, grpc(body)).await;
    let took = Instant::now() - start;
    assert!(
        took >= wait && took < wait + Duration::from_millis(2),
        "{took:?}"
    );
    assert_eq!(code(&response), None);
    drop(server);
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "first"
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_service_is_passed_on_and_the_future_ends_once() {
    let mut service = PeekTrailersLayer::new().layer(service_fn(|()| async {
        Err::<Response<Script>, _>("reset")
    }));
    assert_eq!(
        service.ready().await.unwrap().call(()).await.err(),
        Some("reset")
    );
    let layer = PeekTrailersLayer::new().wait(Duration::from_millis(5));
    let answer = service_fn(|()| async {
        Ok::<_, Infallible>(grpc(Script::new([Pending, Pending, UNAVAILABLE])))
    });
    let mut response = task::spawn(layer.layer(answer).call(()));
    assert_pending!(response.poll());
    assert!(assert_ready!(response.poll()).is_ok());
    assert_pending!(response.poll());
}

#[test]
fn the_inner_service_can_be_had() {
    let mut service = PeekTrailersLayer::new().layer(7);
    *service.get_mut() += 1;
    assert_eq!((*service.get_ref(), service.into_inner()), (8, 8));
}

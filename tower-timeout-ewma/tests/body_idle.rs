//! A limit for each pause in the body of an HTTP response.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::convert::Infallible;

use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, ServiceExt, service_fn};
use tower_timeout_ewma::{AdaptiveTimeoutLayer, Builder, Scope, http::BodyIdle};

#[path = "support/bodies.rs"]
mod bodies;
mod support;
use bodies::*;
use support::{ms, odd_ms, typical};

#[tokio::test(start_paused = true)]
async fn a_body_that_pauses_for_too_long_fails_and_is_dropped() {
    let (sink, body) = idle_body(LIMIT).await;
    let mut body = task::spawn(body);
    assert_pending!(poll(&mut body));
    advance(ms(99)).await;
    assert_pending!(poll(&mut body));
    advance(odd_ms(2)).await;
    assert!(body.is_woken());

    let elapsed = failure(&mut body);
    assert_eq!((elapsed.limit(), elapsed.scope()), (LIMIT, Scope::BodyIdle));
    assert_eq!(elapsed.elapsed(), ms(99) + odd_ms(2));
    assert!(elapsed.to_string().contains("paused"));
    assert!(sink_is_closed(sink), "although the body is still held");
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    assert!(assert_ready!(poll(&mut body)).is_none());
}

#[tokio::test(start_paused = true)]
async fn each_frame_begins_the_pause_anew() {
    let (mut sink, body) = idle_body(LIMIT).await;
    let mut body = task::spawn(body);
    for _ in 0..5 {
        assert_pending!(poll(&mut body));
        advance(odd_ms(70)).await;
        assert_pending!(poll(&mut body));
        sink.try_send(Frame::data(b"data" as Data)).unwrap();
        assert_eq!(data(&mut body), b"data");
    }
    assert_pending!(poll(&mut body));
    advance(odd_ms(101)).await;
    assert_eq!(failure(&mut body).elapsed(), odd_ms(101));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_taken_for_a_slow_body() {
    let (mut sink, body) = idle_body(LIMIT).await;
    let mut body = task::spawn(body);
    advance(odd_ms(5_000)).await;
    assert_pending!(poll(&mut body));
    sink.try_send(Frame::data(b"late" as Data)).unwrap();
    advance(odd_ms(5_000)).await;
    assert_eq!(data(&mut body), b"late", "what is there wins");
    advance(odd_ms(5_000)).await;
    assert_pending!(poll(&mut body));
}

#[tokio::test(start_paused = true)]
async fn the_head_has_no_limit_when_pauses_have() {
    let layer = Builder::default().scope(BodyIdle).build_fixed(LIMIT);
    let service = layer.layer(service_fn(async |_: Request<()>| {
        tokio::time::sleep(LIMIT * 50).await;
        Ok::<_, Infallible>(Response::new(Full::new(b"data" as Data)))
    }));
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "data"
    );
}

#[tokio::test(start_paused = true)]
async fn pauses_are_learnt() {
    let layer = AdaptiveTimeoutLayer::builder()
        .deviations(4.0)
        .scope(BodyIdle)
        .min_samples(1)
        .build()
        .unwrap();
    let (mut sink, body) = respond_with_channel(&layer).await;
    let mut body = task::spawn(body);
    for _ in 0..50 {
        assert_pending!(poll(&mut body));
        advance(ms(20)).await;
        sink.try_send(Frame::data(b"a" as Data)).unwrap();
        sink.try_send(Frame::data(b"b" as Data)).unwrap();
        data(&mut body);
        // What is there already was not waited for.
        data(&mut body);
    }
    assert_eq!(layer.stats().samples, 50);
    assert_eq!(typical(&layer.stats()), ms(20));
    assert_pending!(poll(&mut body));
    let limit = layer.limit();
    advance(limit + odd_ms(1)).await;
    assert_eq!(failure(&mut body).limit(), limit);
    assert_eq!(layer.stats().timeouts, 1);
}

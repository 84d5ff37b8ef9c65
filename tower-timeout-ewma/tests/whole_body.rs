//! A limit for an HTTP response to the end of its body.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{convert::Infallible, pin::Pin};

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, ServiceExt, service_fn};
use tower_timeout_ewma::{
    AdaptiveTimeoutLayer, Builder, Scope,
    error::Elapsed,
    http::{ServedOnly, WholeBody},
};

#[path = "support/bodies.rs"]
mod bodies;
mod support;
use bodies::*;
use support::{ms, odd_ms, typical};

#[tokio::test(start_paused = true)]
async fn the_limit_of_a_whole_body_holds_for_its_head_too() {
    let layer = Builder::default().scope(WholeBody).build_fixed(LIMIT);
    let service = layer.layer(service_fn(async |_: Request<()>| {
        tokio::time::sleep(LIMIT * 2).await;
        Ok::<_, Infallible>(Response::new(Empty::<Data>::new()))
    }));
    let error = service.oneshot(Request::new(())).await.unwrap_err();
    assert_eq!(
        error.downcast_ref::<Elapsed>().unwrap().scope(),
        Scope::WholeBody
    );
}

#[tokio::test(start_paused = true)]
async fn a_whole_body_has_what_its_head_has_left() {
    let start = Instant::now();
    let layer = Builder::default().scope(WholeBody).build_fixed(LIMIT);
    let (mut sink, body) = respond_after(&layer, ms(60)).await;
    let mut body = task::spawn(body);
    assert_pending!(poll(&mut body));
    advance(odd_ms(30)).await;
    sink.try_send(Frame::data(b"data" as Data)).unwrap();
    assert_eq!(data(&mut body), b"data");
    assert_pending!(poll(&mut body));
    advance(odd_ms(11)).await;
    assert!(body.is_woken());
    let elapsed = failure(&mut body);
    assert_eq!(
        (elapsed.limit(), elapsed.scope()),
        (LIMIT, Scope::WholeBody)
    );
    assert_eq!(elapsed.elapsed(), Instant::now() - start);
    assert!(sink_is_closed(sink));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_pauses_has_a_limit_as_well() {
    /// Always there, for ever.
    struct Endless;

    impl Body for Endless {
        type Data = Data;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Data>, Infallible>>> {
            std::task::Poll::Ready(Some(Ok(Frame::data(b"more"))))
        }
    }

    let layer = Builder::default().scope(WholeBody).build_fixed(LIMIT);
    let service = layer.layer(service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new(Endless))
    }));
    let body = service.oneshot(Request::new(())).await.unwrap().into_body();
    let mut body = task::spawn(body);
    for _ in 0..99 {
        assert_eq!(data(&mut body), b"more");
        advance(ms(1)).await;
    }
    advance(ms(1)).await;
    assert_eq!(failure(&mut body).scope(), Scope::WholeBody);
    assert!(assert_ready!(poll(&mut body)).is_none());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_body_is_the_sample() {
    let failed = || {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("14"));
        Frame::trailers(trailers)
    };
    let served = || {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Frame::trailers(trailers)
    };
    for (last, samples) in [(None, 1), (Some(served()), 1), (Some(failed()), 0)] {
        let layer = AdaptiveTimeoutLayer::builder()
            .deviations(4.0)
            .min_samples(1)
            .scope(WholeBody)
            .build()
            .unwrap();
        let (mut sink, body) = respond_after(&layer, ms(30)).await;
        let mut body = task::spawn(body);
        sink.try_send(Frame::data(b"data" as Data)).unwrap();
        data(&mut body);
        assert_pending!(poll(&mut body));
        advance(ms(50)).await;
        assert_eq!(layer.stats().samples, 0);
        match last {
            Some(trailers) => {
                sink.try_send(trailers).unwrap();
                let frame = assert_ready!(poll(&mut body)).unwrap().unwrap();
                assert!(frame.is_trailers());
            }
            None => {
                drop(sink);
                assert!(assert_ready!(poll(&mut body)).is_none());
            }
        }
        assert_eq!(layer.stats().samples, samples);
        if samples > 0 {
            assert_eq!(typical(&layer.stats()), ms(80));
        }
        let before = layer.stats();
        drop(body);
        assert_eq!(layer.stats(), before, "it had ended");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_has_to_read_is_a_sample_of_its_head() {
    let layer = AdaptiveTimeoutLayer::builder()
        .deviations(4.0)
        .min_samples(1)
        .scope(WholeBody)
        .build()
        .unwrap();
    let service = layer.layer(service_fn(async |_: Request<()>| {
        tokio::time::sleep(ms(20)).await;
        Ok::<_, Infallible>(Response::new(Empty::<Data>::new()))
    }));
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert!(response.body().is_end_stream());
    drop(response);
    assert_eq!(typical(&layer.stats()), ms(20));
}

#[tokio::test(start_paused = true)]
async fn the_last_frame_of_known_length_is_the_end() {
    let layer = AdaptiveTimeoutLayer::builder()
        .scope(WholeBody)
        .build()
        .unwrap();
    let service = layer.layer(service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new(Full::new(b"data" as Data)))
    }));
    let body = service.oneshot(Request::new(())).await.unwrap().into_body();
    assert_eq!(body.size_hint().exact(), Some(4));
    assert!(!body.is_end_stream());
    let mut body = task::spawn(body);
    assert_eq!(data(&mut body), b"data");
    assert!(body.is_end_stream());
    assert_eq!(layer.stats().samples, 1, "there may be no further poll");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_no_sample_is_none_at_its_end_either() {
    let layer = AdaptiveTimeoutLayer::builder()
        .classify(ServedOnly)
        .scope(WholeBody)
        .build()
        .unwrap();
    let service = layer.layer(service_fn(async |status: Request<u16>| {
        let response = Response::builder().status(status.into_body());
        response.body(Full::new(b"data" as Data))
    }));
    for (status, samples) in [(503, 0), (200, 1)] {
        let response = service.clone().oneshot(Request::new(status)).await.unwrap();
        response.into_body().collect().await.unwrap();
        assert_eq!(layer.stats().samples, samples);
    }
}

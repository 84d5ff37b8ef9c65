//! What holds for both limits of the bodies of HTTP responses.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{convert::Infallible, time::Duration};

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, SizeHint};
use http_body_util::{BodyExt, Full};
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, ServiceExt, service_fn};
use tower_timeout_ewma::{
    AdaptiveTimeoutLayer, Builder, Estimate, EveryAnswer, RequestLimit, Rules,
    deadline::{Deadline, DeadlineLayer, http::HttpDeadline},
    http::{BodyIdle, InExtensions, TimedBody, UntilDeadline, WholeBody},
    scope::Cover,
};

#[path = "support/bodies.rs"]
mod bodies;
mod support;
use bodies::*;
use support::{ms, odd_ms, typical};

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_passes_its_error_and_teaches_nothing() {
    let builder = AdaptiveTimeoutLayer::builder;
    breaks_off(builder().scope(WholeBody).build().unwrap()).await;
    breaks_off(builder().scope(BodyIdle).build().unwrap()).await;
}

async fn breaks_off<U>(layer: AdaptiveTimeoutLayer<EveryAnswer, Rules, U>)
where
    U: Cover<Response<Sending>, EveryAnswer, Output = Response<TimedBody<Sending, EveryAnswer>>>
        + Clone,
{
    let before = layer.stats();
    let (sink, body) = respond_with_channel(&layer).await;
    let mut body = task::spawn(body);
    assert_pending!(poll(&mut body));
    advance(odd_ms(10)).await;
    sink.abort("broken".into());
    let error = assert_ready!(poll(&mut body)).unwrap().unwrap_err();
    assert_eq!(error.to_string(), "broken");
    drop(body);
    assert_eq!(layer.stats(), before);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_leaves_says_at_least_so_long() {
    let known = Estimate::new(ms(10), ms(200));
    let builder = || Builder::default().deviations(4.0).start_from(known);
    let layer = builder().scope(WholeBody).build().unwrap();
    let (_sink, body) = respond_after(&layer, ms(30)).await;
    let mut body = task::spawn(body);
    assert_pending!(poll(&mut body));
    advance(ms(50)).await;
    drop(body);

    // As a caller who leaves after 80 ms does.
    let other = builder().build().unwrap();
    let never = service_fn(async |()| std::future::pending::<Result<(), Infallible>>().await);
    let mut response = task::spawn(other.layer(never).oneshot(()));
    assert_pending!(response.poll());
    advance(ms(80)).await;
    drop(response);
    assert_eq!(layer.stats(), other.stats());
    assert!(typical(&layer.stats()) > known.typical());
    assert_eq!((layer.stats().samples, layer.stats().timeouts), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn size_hints_and_frames_are_those_of_the_body() {
    let layer = Builder::default().scope(BodyIdle).build_fixed(LIMIT);
    let service = layer.layer(service_fn(async |_: Request<()>| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("13"));
        let body = Full::new(b"data" as Data).with_trailers(std::future::ready(Some(Ok(trailers))));
        Ok::<_, Infallible>(Response::new(body))
    }));
    let body = service.oneshot(Request::new(())).await.unwrap().into_body();
    assert_eq!(SizeHint::with_exact(4).exact(), body.size_hint().exact());
    let collected = body.collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "13");
    assert_eq!(collected.to_bytes(), "data");
}

#[tokio::test(start_paused = true)]
async fn a_request_may_have_its_own_limit_for_the_body() {
    for (limit, expected) in [
        (RequestLimit::Learnt, LIMIT),
        (RequestLimit::AtMost(ms(30)), ms(30)),
        (RequestLimit::Fixed(ms(300)), ms(300)),
    ] {
        for whole in [true, false] {
            let builder = || Builder::default().limit_by(InExtensions);
            let request = Request::builder().extension(limit).body(()).unwrap();
            let (_sink, service) = channel();
            let mut body = if whole {
                let service = builder().scope(WholeBody).build_fixed(LIMIT).layer(service);
                task::spawn(service.oneshot(request).await.unwrap().into_body())
            } else {
                let service = builder().scope(BodyIdle).build_fixed(LIMIT).layer(service);
                task::spawn(service.oneshot(request).await.unwrap().into_body())
            };
            assert_pending!(poll(&mut body));
            advance(expected - ms(1)).await;
            assert_pending!(poll(&mut body));
            advance(odd_ms(2)).await;
            assert_eq!(failure(&mut body).limit(), expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_can_hold_for_the_body_too() {
    let layer = Builder::default()
        .scope(WholeBody)
        .limit_by(UntilDeadline)
        .build_fixed(Duration::MAX);
    let (_sink, service) = channel();
    let service = DeadlineLayer::new(HttpDeadline::new()).layer(layer.layer(service));
    let mut request = Request::new(());
    request.extensions_mut().insert(Deadline::after(ms(250)));
    let mut body = task::spawn(service.oneshot(request).await.unwrap().into_body());
    assert_pending!(poll(&mut body));
    advance(odd_ms(251)).await;
    assert_eq!(failure(&mut body).limit(), ms(250));
}

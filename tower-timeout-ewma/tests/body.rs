//! Limits for the bodies of HTTP responses.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{convert::Infallible, pin::Pin, time::Duration};

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Channel, Empty, Full, channel::Sender};
use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_timeout_ewma::{
    AdaptiveTimeoutLayer, Builder, Estimate, EveryAnswer, RequestLimit, Rules, Scope,
    deadline::{Deadline, DeadlineLayer, http::HttpDeadline},
    error::Elapsed,
    http::{BodyIdle, InExtensions, ServedOnly, TimedBody, UntilDeadline, WholeBody},
    scope::Cover,
};

mod support;
use support::{ms, odd_ms, typical};

type Data = &'static [u8];
type Sending = Channel<Data, BoxError>;
type Sink = Sender<Data, BoxError>;

const LIMIT: Duration = Duration::from_millis(100);

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

async fn idle_body(limit: Duration) -> (Sink, TimedBody<Sending, EveryAnswer>) {
    respond_with_channel(&Builder::default().scope(BodyIdle).build_fixed(limit)).await
}

async fn respond_with_channel<U>(
    layer: &AdaptiveTimeoutLayer<EveryAnswer, Rules, U>,
) -> (Sink, TimedBody<Sending, EveryAnswer>)
where
    U: Cover<Response<Sending>, EveryAnswer, Output = Response<TimedBody<Sending, EveryAnswer>>>
        + Clone,
{
    respond_after(layer, Duration::ZERO).await
}

async fn respond_after<U>(
    layer: &AdaptiveTimeoutLayer<EveryAnswer, Rules, U>,
    latency: Duration,
) -> (Sink, TimedBody<Sending, EveryAnswer>)
where
    U: Cover<Response<Sending>, EveryAnswer, Output = Response<TimedBody<Sending, EveryAnswer>>>
        + Clone,
{
    let (sink, mut service) = channel();
    let service = service_fn(move |request| {
        let response = service.call(request);
        async move {
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            response.await
        }
    });
    let response = layer.layer(service).oneshot(Request::new(())).await;
    (sink, response.unwrap().into_body())
}

/// A service for one request, and where its body comes from.
fn channel() -> (
    Sink,
    impl Service<Request<()>, Response = Response<Sending>, Error = BoxError>,
) {
    let (sink, body) = Channel::new(8);
    let mut body = Some(body);
    let service = service_fn(move |_: Request<()>| {
        let body = body.take();
        std::future::ready(
            body.map(Response::new)
                .ok_or_else(|| BoxError::from("one request only")),
        )
    });
    (sink, service)
}

type Polled<B> = std::task::Poll<Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>>;

fn poll<B: Body>(body: &mut task::Spawn<B>) -> Polled<B> {
    body.enter(|cx, body| body.poll_frame(cx))
}

fn data<B: Body<Data = Data, Error = BoxError>>(body: &mut task::Spawn<B>) -> Data {
    let frame = assert_ready!(poll(body)).unwrap().unwrap();
    frame.into_data().ok().unwrap()
}

fn failure<B: Body<Data = Data, Error = BoxError>>(body: &mut task::Spawn<B>) -> Elapsed {
    let error = assert_ready!(poll(body)).unwrap().unwrap_err();
    *error.downcast_ref::<Elapsed>().unwrap()
}

fn sink_is_closed(mut sink: Sink) -> bool {
    sink.try_send(Frame::data(b"" as Data)).is_err()
}

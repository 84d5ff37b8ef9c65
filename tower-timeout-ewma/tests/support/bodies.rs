//! Services whose response has a body, which the test feeds.
#![allow(dead_code, unreachable_pub)]

use std::time::Duration;

use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{Channel, channel::Sender};
use tokio_test::{assert_ready, task};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_timeout_ewma::{
    AdaptiveTimeoutLayer, Builder, EveryAnswer, Rules,
    error::Elapsed,
    http::{BodyIdle, TimedBody},
    scope::Cover,
};

pub type Data = &'static [u8];
pub type Sending = Channel<Data, BoxError>;
pub type Sink = Sender<Data, BoxError>;

pub const LIMIT: Duration = Duration::from_millis(100);

pub async fn idle_body(limit: Duration) -> (Sink, TimedBody<Sending, EveryAnswer>) {
    respond_with_channel(&Builder::default().scope(BodyIdle).build_fixed(limit)).await
}

pub async fn respond_with_channel<U>(
    layer: &AdaptiveTimeoutLayer<EveryAnswer, Rules, U>,
) -> (Sink, TimedBody<Sending, EveryAnswer>)
where
    U: Cover<Response<Sending>, EveryAnswer, Output = Response<TimedBody<Sending, EveryAnswer>>>
        + Clone,
{
    respond_after(layer, Duration::ZERO).await
}

pub async fn respond_after<U>(
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
pub fn channel() -> (
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

pub type Polled<B> = std::task::Poll<Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>>;

pub fn poll<B: Body>(body: &mut task::Spawn<B>) -> Polled<B> {
    body.enter(|cx, body| body.poll_frame(cx))
}

pub fn data<B: Body<Data = Data, Error = BoxError>>(body: &mut task::Spawn<B>) -> Data {
    let frame = assert_ready!(poll(body)).unwrap().unwrap();
    frame.into_data().ok().unwrap()
}

pub fn failure<B: Body<Data = Data, Error = BoxError>>(body: &mut task::Spawn<B>) -> Elapsed {
    let error = assert_ready!(poll(body)).unwrap().unwrap_err();
    *error.downcast_ref::<Elapsed>().unwrap()
}

pub fn sink_is_closed(mut sink: Sink) -> bool {
    sink.try_send(Frame::data(b"" as Data)).is_err()
}

//! Requests of ten headers, with and without a streaming body.
//!
//! What is allocated is what the request, made anew each time, allocates itself (the line of the bare
//! service), and what a layer adds to be able to send it again.

use std::{
    convert::Infallible,
    hint::black_box,
    pin::pin,
    task::{Context, Poll},
};

use benches::service::subject;
use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Empty, StreamBody};
use tower::{BoxError, Layer as _, Service, service_fn};
use tower_retry_budget::{
    Budget, RetryLayer,
    http::{BodyReplay, ReplayBody, StatusPolicy},
};

use super::{
    Table,
    subjects::{Again, OURS, TOWER, tower_retry},
};

pub(super) fn tables() -> [Table; 3] {
    [
        of_requests("GET without a body, which may be sent again", get),
        of_requests("POST of 4 x 1 KiB, which may be sent again", keyed),
        of_requests("POST of 4 x 1 KiB, which may not", post),
    ]
}

fn get() -> Request<Empty<Bytes>> {
    with_headers(Method::GET, Empty::new())
}

fn post() -> Request<FourFrames> {
    with_headers(Method::POST, four_frames())
}

fn keyed() -> Request<FourFrames> {
    let mut request = post();
    let key = HeaderValue::from_static("\"8e03978e-40d5-43e8-bc93-6894a57f9324\"");
    request.headers_mut().insert("idempotency-key", key);
    request
}

fn of_requests<B>(title: &'static str, make: fn() -> Request<B>) -> Table
where
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
    Request<B>: Again,
{
    Table::new(title, TOWER, move || {
        let retry = RetryLayer::builder(Budget::new())
            .policy(StatusPolicy::new())
            .replay(BodyReplay::new(64 * 1024))
            .build()
            .expect("the settings are in their ranges");
        vec![
            subject("bare service", Asking(reader::<B>(), make)),
            subject(OURS, Asking(retry.layer(reader::<ReplayBody<B>>()), make)),
            subject(TOWER, Asking(tower_retry(reader::<B>()), make)),
        ]
    })
}

/// Reads a request to its end, and answers.
fn reader<B>() -> impl Service<Request<B>, Response = Response<()>, Error = BoxError> + Clone
where
    B: http_body::Body,
{
    service_fn(|request: Request<B>| async move {
        let mut body = pin!(request.into_body());
        while let Some(frame) = body.frame().await {
            black_box(frame.is_ok());
        }
        Ok(Response::new(()))
    })
}

/// Makes the request that a service is sent.
struct Asking<S, B>(S, fn() -> Request<B>);

impl<S: Service<Request<B>>, B> Service<()> for Asking<S, B> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, (): ()) -> S::Future {
        self.0.call((self.1)())
    }
}

fn with_headers<B>(method: Method, body: B) -> Request<B> {
    let names = [
        "accept",
        "accept-encoding",
        "accept-language",
        "authorization",
        "cache-control",
        "content-type",
        "cookie",
        "traceparent",
        "user-agent",
        "x-request-id",
    ];
    // All are parts of what was read, as a server's are.
    let read = Bytes::from("a value of some length".repeat(names.len()));
    let length = read.len() / names.len();
    let mut request = Request::builder().method(method).uri("/orders/17?full=1");
    for (name, place) in names.into_iter().zip((0..).step_by(length)) {
        let value = HeaderValue::from_maybe_shared(read.slice(place..place + length));
        request = request.header(name, value.expect("the value is valid"));
    }
    request.body(body).expect("the names and values are valid")
}

type Frame = Result<http_body::Frame<Bytes>, Infallible>;
type FourFrames = StreamBody<stream::Iter<std::array::IntoIter<Frame, 4>>>;

fn four_frames() -> FourFrames {
    let frame = || Ok(http_body::Frame::data(Bytes::from_static(&[b'x'; 1024])));
    StreamBody::new(stream::iter([frame(), frame(), frame(), frame()]))
}

/// As a policy has to write it that clones.
impl Again for Request<Empty<Bytes>> {
    fn again(&self) -> Option<Self> {
        let mut again = Self::new(Empty::new());
        *again.method_mut() = self.method().clone();
        *again.uri_mut() = self.uri().clone();
        *again.version_mut() = self.version();
        *again.headers_mut() = self.headers().clone();
        *again.extensions_mut() = self.extensions().clone();
        Some(again)
    }
}

/// It cannot be had twice: such a request is never retried.
impl Again for Request<FourFrames> {
    fn again(&self) -> Option<Self> {
        None
    }
}

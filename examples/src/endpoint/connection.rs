//! An established connection as a cloneable service: many streams, or a pool of exclusive ones.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use tower_service::Service;

use super::{body::EndpointBody, http1::Pool, http2::Http2};
use crate::{
    BoxError,
    http::{
        body::BodyFate,
        forward::{has_unknown_coding, release},
    },
};

/// What a body must be to be sent to an endpoint.
pub trait RequestBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static {}

impl<B> RequestBody for B where B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static
{}

/// A live connection to an endpoint.
pub enum Connection<B> {
    /// A pool of connections that carry one request at a time, where TLS has chosen so.
    Http1(Pool<B>),
    /// Connections that carry many.
    Http2(Http2<B>),
}

/// hyper's futures of sent requests have no names, so each is boxed: the one allocation of this
/// crate on the way of a request.
pub(super) type Sending<B> =
    Pin<Box<dyn Future<Output = Result<Response<EndpointBody<B>>, BoxError>> + Send>>;

impl<B: RequestBody> Service<Request<B>> for Connection<B> {
    type Response = Response<EndpointBody<B>>;
    type Error = BoxError;
    type Future = Sending<B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Http1(pool) => pool.poll_ready(cx),
            Self::Http2(http2) => http2.poll_ready(),
        }
    }

    fn call(&mut self, request: Request<B>) -> Sending<B> {
        match self {
            Self::Http1(pool) => pool.call(request),
            Self::Http2(http2) => {
                let fate = request.extensions().get::<BodyFate>().cloned();
                let http2 = http2.clone();
                Box::pin(async move { answer(http2.send(request).await, fate) })
            }
        }
    }
}

/// Blames the client's body where that was what failed.
pub(super) fn answer<B>(
    response: Result<Response<EndpointBody<B>>, BoxError>,
    fate: Option<BodyFate>,
) -> Result<Response<EndpointBody<B>>, BoxError> {
    match response {
        Ok(response) if has_unknown_coding(response.headers()) => {
            Err("the endpoint's answer has a transfer coding that is not chunked".into())
        }
        Ok(mut response) => {
            let upgrade = tunnels_to(&response);
            release(&mut response);
            if let Some(protocol) = upgrade {
                let headers = response.headers_mut();
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(header::UPGRADE, protocol);
            }
            Ok(response)
        }
        Err(error) => Err(fate
            .and_then(|fate| fate.failure())
            .map_or(error, Into::into)),
    }
}

/// The protocol that a 101 switches to, which is for the client to know.
fn tunnels_to<B>(response: &Response<B>) -> Option<HeaderValue> {
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let protocol = response.headers().get(header::UPGRADE);
    protocol.filter(|_| switches).cloned()
}

impl<B> Clone for Connection<B> {
    fn clone(&self) -> Self {
        match self {
            Self::Http1(pool) => Self::Http1(pool.clone()),
            Self::Http2(http2) => Self::Http2(http2.clone()),
        }
    }
}

impl<B> fmt::Debug for Connection<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http1(pool) => fmt::Debug::fmt(pool, f),
            Self::Http2(http2) => fmt::Debug::fmt(http2, f),
        }
    }
}

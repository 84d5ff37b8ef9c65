//! An established connection as a cloneable service: many streams, or a pool of exclusive ones.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header, uri::Scheme};
use http_body::Body;
use hyper::client::conn::http2;
use tower_service::Service;

use super::{
    body::EndpointBody,
    ended::{Ended, Unsent},
    http1::Pool,
};
use crate::{
    BoxError,
    http::{
        body::BodyFate,
        forward::{for_anyone, for_http1, for_http2, release},
    },
};

/// What a body must be to be sent to an endpoint.
pub trait RequestBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static {}

impl<B> RequestBody for B where B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static
{}

/// A live connection to an endpoint.
pub enum Connection<B> {
    /// A pool of connections that carry one request at a time.
    Http1(Pool<B>),
    /// One connection that carries many.
    Http2(Http2<B>),
}

/// One HTTP/2 connection.
pub struct Http2<B> {
    sender: http2::SendRequest<B>,
    scheme: Scheme,
    /// Whether it has answered: then its end is no failure.
    answered: Arc<AtomicBool>,
}

/// hyper's futures of sent requests have no names, so each is boxed: the one allocation of this
/// crate on the way of a request.
type Sending<B> = Pin<Box<dyn Future<Output = Result<Response<EndpointBody<B>>, BoxError>> + Send>>;

impl<B: RequestBody> Service<Request<B>> for Connection<B> {
    type Response = Response<EndpointBody<B>>;
    type Error = BoxError;
    type Future = Sending<B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Http1(pool) => pool.poll_ready(),
            Self::Http2(http2) => http2.poll_ready(cx),
        }
    }

    fn call(&mut self, mut request: Request<B>) -> Sending<B> {
        let fate = request.extensions().get::<BodyFate>().cloned();
        match self {
            Self::Http1(pool) => {
                for_http1(&mut request);
                let pool = pool.clone();
                Box::pin(async move { answer(pool.send(request).await, fate) })
            }
            Self::Http2(http2) => {
                // A stream cannot become a tunnel by these (RFC 9113, section 8.6).
                request.headers_mut().remove(header::CONNECTION);
                request.headers_mut().remove(header::UPGRADE);
                for_http2(&mut request, http2.scheme.clone());
                let answered = http2.answered.clone();
                let sending = http2.sender.try_send_request(request);
                Box::pin(async move {
                    let response = match sending.await {
                        Ok(response) => {
                            answered.store(true, Relaxed);
                            Ok(response.map(EndpointBody::stream))
                        }
                        Err(mut error) => Err(match error.take_message() {
                            Some(request) => Unsent::new(for_anyone(request), error.error()).into(),
                            None => error.into_error().into(),
                        }),
                    };
                    answer(response, fate)
                })
            }
        }
    }
}

/// Blames the client's body where that was what failed.
fn answer<B>(
    response: Result<Response<EndpointBody<B>>, BoxError>,
    fate: Option<BodyFate>,
) -> Result<Response<EndpointBody<B>>, BoxError> {
    match response {
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

impl<B> Http2<B> {
    pub(super) fn new(sender: http2::SendRequest<B>, scheme: Scheme) -> Self {
        Self {
            sender,
            scheme,
            answered: Arc::default(),
        }
    }
}

impl<B: RequestBody> Http2<B> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let answered = self.answered.load(Relaxed);
        self.sender
            .poll_ready(cx)
            .map_err(|error| Ended::new(answered, error).into())
    }
}

impl<B> Clone for Http2<B> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            scheme: self.scheme.clone(),
            answered: self.answered.clone(),
        }
    }
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

impl<B> fmt::Debug for Http2<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2")
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

//! hyper's connections as services.
#![allow(unreachable_pub)]

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use tower_service::Service;

type Answering = std::pin::Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

/// Is not `Clone`.
pub struct Http1(pub http1::SendRequest<Empty<Bytes>>);

impl Service<Request<Empty<Bytes>>> for Http1 {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Answering;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Empty<Bytes>>) -> Answering {
        Box::pin(self.0.send_request(request))
    }
}

#[derive(Clone)]
pub struct Http2(pub http2::SendRequest<Empty<Bytes>>);

impl Service<Request<Empty<Bytes>>> for Http2 {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Answering;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Empty<Bytes>>) -> Answering {
        Box::pin(self.0.send_request(request))
    }
}

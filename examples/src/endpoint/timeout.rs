//! The adaptive timeout of a request's route, or else of its cluster.

use std::task::{Context, Poll};

use http::Request;
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;
use tower_timeout_ewma::{Classify, Sent, future::ResponseFuture, http::ServedOnly};

use crate::{BoxError, cluster::layers::HttpTimeoutLayer};

/// In a request's extensions: the timeout that learns for its route.
#[derive(Clone, Debug)]
pub struct RouteTimeout(pub HttpTimeoutLayer);

/// A service whose requests end at the limit of their [`RouteTimeout`], or of the cluster where
/// they carry none.
#[derive(Clone, Debug)]
pub struct TimeoutOf<S> {
    inner: S,
    cluster: HttpTimeoutLayer,
}

impl<S> TimeoutOf<S> {
    pub(super) fn new(inner: S, cluster: HttpTimeoutLayer) -> Self {
        Self { inner, cluster }
    }
}

impl<S, B> Service<Request<B>> for TimeoutOf<S>
where
    S: Service<Request<B>, Error = BoxError>,
    B: Body,
    ServedOnly: Classify<S::Response>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, ServedOnly>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // It stays: the request may come back unsent.
        let route = request.extensions().get::<RouteTimeout>().cloned();
        let timeout = route.as_ref().map_or(&self.cluster, |route| &route.0);
        // `&mut S` is the instance that was polled ready: the layer only wraps its future.
        timeout.layer(&mut self.inner).call(request)
    }
}

/// Tells the timeout that a request is sent now: until then it waits for a connection.
pub(super) fn note_sent<B>(request: &Request<B>) {
    if let Some(sent) = request.extensions().get::<Sent>() {
        sent.mark();
    }
}

//! An endpoint's connections as one service, whatever is spoken over them.

use std::task::{Context, Poll};

use futures::future::Either;
use http::{Request, Response};
use tower_reconnect::{Reconnect, Watch, future::ResponseFuture};
use tower_service::Service;

use super::{
    body::EndpointBody,
    connection::{Connection, RequestBody, Sending},
    http1::Pool,
};
use crate::BoxError;

/// Connections that are made again when they are lost. What they have not sent they give back: see
/// [`Resend`](super::Resend).
pub enum Upstream<B> {
    /// Each carries one request at a time.
    Exclusive(Pool<B>),
    /// All requests share one, or what TLS has chosen.
    Shared(Reconnect<Connection<B>>),
}

impl<B> Upstream<B> {
    pub(super) fn watch(&self) -> Watch {
        match self {
            Self::Exclusive(pool) => pool.watch(),
            Self::Shared(connection) => connection.watch(),
        }
    }

    /// Whether requests may come: there is a connection, or one would be made for them.
    pub(super) fn is_usable(&self, watch: &Watch) -> bool {
        match self {
            Self::Exclusive(pool) => pool.is_usable(),
            Self::Shared(_) => watch.state().is_connected(),
        }
    }
}

impl<B: RequestBody> Service<Request<B>> for Upstream<B> {
    type Response = Response<EndpointBody<B>>;
    type Error = BoxError;
    type Future = Either<Sending<B>, ResponseFuture<Sending<B>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Exclusive(pool) => pool.poll_ready(cx),
            Self::Shared(connection) => connection.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self {
            Self::Exclusive(pool) => Either::Left(pool.call(request)),
            Self::Shared(connection) => Either::Right(connection.call(request)),
        }
    }
}

impl<B> Clone for Upstream<B> {
    fn clone(&self) -> Self {
        match self {
            Self::Exclusive(pool) => Self::Exclusive(pool.clone()),
            Self::Shared(connection) => Self::Shared(connection.clone()),
        }
    }
}

impl<B> std::fmt::Debug for Upstream<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exclusive(pool) => std::fmt::Debug::fmt(pool, f),
            Self::Shared(connection) => std::fmt::Debug::fmt(connection, f),
        }
    }
}

//! The layer and the service.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use ::http::{HeaderMap, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{PeekFuture, Peeked};

/// Reads what has already arrived of each gRPC answer, so that the policy of the retries sees the
/// code of a call that failed after its answer had begun.
///
/// It goes inside the retries, around the client. An answer is passed on as soon as no more of it
/// is there, when more than [`limit`](Self::limit) bytes of it are, or when its trailers are. So no
/// answer waits for its own body, and a stream is not delayed: what has not arrived in the moment
/// in which the headers are read is not seen. What the server writes at once has, as a rule. Other
/// answers than gRPC's are passed on as they are.
///
/// ```
/// use tower::ServiceBuilder;
/// use tower_retry_budget::{
///     Budget, RetryLayer,
///     http::{BodyReplay, GrpcPolicy, PeekTrailersLayer},
/// };
///
/// let retry = RetryLayer::builder(Budget::new())
///     .policy(GrpcPolicy::new())
///     .replay(BodyReplay::default())
///     .build()?;
/// let stack = ServiceBuilder::new()
///     .layer(retry)
///     .layer(PeekTrailersLayer::new());
/// # drop(stack);
/// # Ok::<_, tower_retry_budget::error::InvalidSetting>(())
/// ```
///
/// # Cost
///
/// A gRPC answer with a body costs one allocation, for the frames that are read, and a failure
/// another, for its trailers.
#[derive(Clone, Copy, Debug)]
#[must_use = "a layer does nothing until it is put on a service"]
pub struct PeekTrailersLayer {
    settings: Settings,
}

impl PeekTrailersLayer {
    /// With the default settings.
    pub const fn new() -> Self {
        let settings = Settings {
            limit: 4096,
            wait: Duration::ZERO,
        };
        Self { settings }
    }

    /// An answer with more bytes than that is passed on without its trailers. Default 4,096. With 0
    /// no answer is looked into.
    ///
    /// The frame that goes beyond it has been read by then. Each counts for at least 64 bytes.
    pub const fn limit(mut self, limit: usize) -> Self {
        self.settings.limit = limit;
        self
    }

    /// How long an answer may be kept until more of it arrives. Default zero: not at all.
    ///
    /// It finds more trailers, and delays the headers of each stream by so long.
    pub const fn wait(mut self, wait: Duration) -> Self {
        self.settings.wait = wait;
        self
    }
}

impl Default for PeekTrailersLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for PeekTrailersLayer {
    type Service = PeekTrailers<S>;

    fn layer(&self, inner: S) -> PeekTrailers<S> {
        PeekTrailers {
            inner,
            settings: self.settings,
        }
    }
}

/// Reads what has already arrived of each gRPC answer. Made by a [`PeekTrailersLayer`].
#[derive(Clone, Copy, Debug)]
pub struct PeekTrailers<S> {
    inner: S,
    settings: Settings,
}

impl<S> PeekTrailers<S> {
    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, Req, B> Service<Req> for PeekTrailers<S>
where
    S: Service<Req, Response = Response<B>>,
    B: Body + Unpin,
{
    type Response = Response<Peeked<B>>;
    type Error = S::Error;
    type Future = PeekFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        PeekFuture::new(self.inner.call(request), self.settings)
    }
}

/// In the extensions of a response: its trailers, which say that the call has failed. They are in
/// its body too.
#[derive(Clone, Debug)]
pub struct PeekedTrailers(HeaderMap);

impl PeekedTrailers {
    pub(super) fn new(fields: HeaderMap) -> Self {
        Self(fields)
    }

    /// The trailers.
    pub fn fields(&self) -> &HeaderMap {
        &self.0
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) limit: usize,
    pub(super) wait: Duration,
}

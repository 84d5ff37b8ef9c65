//! The service.

use std::{
    any::type_name,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use super::{ResponseFuture, Throttle};
use crate::{
    error::BoxError,
    policy::{OnError, Policy},
};

/// Asks a [`Throttle`] before each request. Made by a [`ThrottleLayer`](super::ThrottleLayer).
pub struct Throttled<S, P = OnError> {
    inner: S,
    throttle: Throttle,
    policy: Arc<P>,
}

impl<S, P> Throttled<S, P> {
    pub(super) fn new(inner: S, throttle: Throttle, policy: Arc<P>) -> Self {
        Self {
            inner,
            throttle,
            policy,
        }
    }

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

impl<S, P, Req> Service<Req> for Throttled<S, P>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    P: Policy<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, P, Req>;

    /// Ready when the inner service is: a throttle that holds requests back is no reason to wait,
    /// nor for a caller to give the service up.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        match self.throttle.admit() {
            Ok(admission) => ResponseFuture::sent(
                self.inner.call(request),
                admission,
                Arc::clone(&self.policy),
            ),
            Err(held) => ResponseFuture::held(held),
        }
    }
}

impl<S: Clone, P> Clone for Throttled<S, P> {
    fn clone(&self) -> Self {
        Self::new(
            self.inner.clone(),
            self.throttle.clone(),
            Arc::clone(&self.policy),
        )
    }
}

impl<S: fmt::Debug, P> fmt::Debug for Throttled<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttled")
            .field("inner", &self.inner)
            .field("throttle", &self.throttle)
            .field("policy", &format_args!("{}", type_name::<P>()))
            .finish()
    }
}

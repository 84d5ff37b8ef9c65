//! Sends a request again that a dying connection has given back unsent.
//!
//! It is no retry: nothing was sent, so it costs no budget and is right for every method.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Request;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_layer::Layer;
use tower_service::Service;

use super::ended::{Ended, Unsent};
use crate::BoxError;

/// Makes [`Resend`]s.
#[derive(Clone, Copy, Debug)]
pub struct ResendLayer {
    wait: Duration,
}

/// Over a service that reconnects.
#[derive(Clone, Debug)]
pub struct Resend<S> {
    inner: S,
    wait: Duration,
}

pin_project! {
    /// The response, after as many connections as it took.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResendFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        sending: Option<S::Future>,
        // While the next connection is waited for.
        unsent: Option<(Request<B>, Ended)>,
        bound: Option<Pin<Box<Sleep>>>,
        service: S,
        wait: Duration,
    }
}

impl ResendLayer {
    /// An unsent request waits no longer than `wait`, in all, for other connections.
    pub fn new(wait: Duration) -> Self {
        Self { wait }
    }
}

impl<S> Layer<S> for ResendLayer {
    type Service = Resend<S>;

    fn layer(&self, inner: S) -> Resend<S> {
        Resend {
            inner,
            wait: self.wait,
        }
    }
}

impl<S, B> Service<Request<B>> for Resend<S>
where
    S: Service<Request<B>, Error = BoxError> + Clone,
    B: 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResendFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ResendFuture {
            sending: Some(self.inner.call(request)),
            unsent: None,
            bound: None,
            service: self.inner.clone(),
            wait: self.wait,
        }
    }
}

impl<S, B> Future for ResendFuture<S, B>
where
    S: Service<Request<B>, Error = BoxError>,
    B: 'static,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            if let Some(sending) = this.sending.as_mut().as_pin_mut() {
                let error = match ready!(sending.poll(cx)) {
                    Ok(response) => return Poll::Ready(Ok(response)),
                    Err(error) => error,
                };
                this.sending.set(None);
                *this.unsent = Some(Unsent::recover(error)?);
            }
            let bound = this
                .bound
                .get_or_insert_with(|| Box::pin(sleep(*this.wait)));
            let is_late = bound.as_mut().poll(cx).is_ready();
            let is_ready = this.service.poll_ready(cx)?.is_ready();
            match this.unsent.take() {
                Some((request, _)) if is_ready && !is_late => {
                    this.sending.set(Some(this.service.call(request)));
                }
                Some((_, ended)) if is_late => return Poll::Ready(Err(ended.into())),
                unsent => {
                    *this.unsent = unsent;
                    return Poll::Pending;
                }
            }
        }
    }
}

impl<S, B> fmt::Debug for ResendFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResendFuture")
            .field("waiting", &self.unsent.is_some())
            .finish_non_exhaustive()
    }
}

//! Tells an answer that the endpoint broke off from one that the client's own request has ended.
//!
//! An endpoint that pauses for too long has broken its answer off as well: so the bound is here,
//! where the balancer sees it.

use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_service::Service;
use tower_timeout_ewma::error::{Elapsed, Expired};

use super::route::Hurried;
use crate::{
    BoxError,
    http::body::{BodyFate, IdleBody},
};

/// Over an endpoint: the error of its answer's body is the client's, where the client's was first.
///
/// An upload that fails takes its exchange along, the answer to it included, and that must not
/// count against the endpoint.
#[derive(Clone, Debug)]
pub struct Fated<S> {
    inner: S,
    pause: Duration,
}

pin_project! {
    /// The future of an answer with a [`FatedBody`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct FatedFuture<F> {
        #[pin]
        answer: F,
        fate: Option<BodyFate>,
        is_hurried: bool,
        pause: Duration,
    }
}

pin_project! {
    /// An endpoint's body that knows of the client's.
    #[derive(Debug)]
    pub struct FatedBody<B> {
        #[pin]
        body: IdleBody<B>,
        fate: Option<BodyFate>,
    }
}

/// There was no answer in time, and that may be the client's doing: it was still sending its body, or
/// has set the time itself.
#[derive(Debug)]
pub(super) struct NobodysFault(BoxError);

impl<S> Fated<S> {
    /// `pause` is how long an answer's body may pause.
    pub(super) fn new(inner: S, pause: Duration) -> Self {
        Self { inner, pause }
    }
}

impl<S, B, B2> Service<Request<B>> for Fated<S>
where
    S: Service<Request<B>, Response = Response<B2>, Error = BoxError>,
{
    type Response = Response<FatedBody<B2>>;
    type Error = BoxError;
    type Future = FatedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let fate = request.extensions().get::<BodyFate>().cloned();
        let is_hurried = request.extensions().get::<Hurried>().is_some();
        FatedFuture {
            answer: self.inner.call(request),
            fate,
            is_hurried,
            pause: self.pause,
        }
    }
}

impl<F, B> Future for FatedFuture<F>
where
    F: Future<Output = Result<Response<B>, BoxError>>,
{
    type Output = Result<Response<FatedBody<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.answer.poll(cx));
        let (fate, pause) = (this.fate.take(), *this.pause);
        let response = response.map_err(|error| {
            let is_sending = fate.as_ref().is_some_and(|fate| !fate.is_whole());
            let is_elapsed = is_sending && error.is::<Elapsed>();
            match is_elapsed || (*this.is_hurried && error.is::<Expired>()) {
                true => NobodysFault(error).into(),
                false => error,
            }
        })?;
        Poll::Ready(Ok(response.map(|body| FatedBody {
            body: IdleBody::new(body, pause),
            fate,
        })))
    }
}

impl<B> Body for FatedBody<B>
where
    B: Body<Error: Into<BoxError>>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        let fate = || this.fate.as_ref().and_then(BodyFate::failure);
        Poll::Ready(frame.map(|frame| frame.map_err(|error| fate().map_or(error, Into::into))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl fmt::Display for NobodysFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for NobodysFault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.0.as_ref())
    }
}

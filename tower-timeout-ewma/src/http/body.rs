use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use ::http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    body_limit::{Limit, Step},
    says_failure,
};
use crate::{
    BoxError, Classify,
    exchange::Exchange,
    scope::{Cover, Scope, sealed},
    timer::Timer,
};

/// The limit is for the response to the end of its body; see [`TimedBody`].
///
/// The body's end is the sample, unless its trailers have a gRPC status that
/// [`ServedOnly`](super::ServedOnly) takes for a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WholeBody;

/// The limit is for each pause in a response's body; see [`TimedBody`]. The head has none.
///
/// A pause begins when the body is read and nothing is there, so that a slow reader is not taken for
/// a slow service. Each pause that ends is a sample, of a response that is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BodyIdle;

impl<B, C> Cover<Response<B>, C> for WholeBody
where
    B: Body,
    C: Classify<Response<B>>,
{
}

impl<B, C> sealed::Cover<Response<B>, C> for WholeBody
where
    B: Body,
    C: Classify<Response<B>>,
{
    type Output = Response<TimedBody<B, C>>;

    const SCOPE: Scope = Scope::WholeBody;

    const LIMITS_RESPONSE: bool = true;

    fn responded(exchange: &mut Option<Exchange<C>>, response: Response<B>) -> Self::Output {
        let mut exchange = exchange.take();
        let is_sample = exchange.as_ref().is_some_and(|it| it.is_sample(&response));
        if let Some(exchange) = &mut exchange {
            if !response.body().is_end_stream() {
                exchange.waits();
            } else if is_sample {
                // Nobody has to poll a body that is empty.
                exchange.ended();
            }
        }
        TimedBody::over(response, Limit::whole(is_sample), exchange)
    }
}

impl<B, C> Cover<Response<B>, C> for BodyIdle
where
    B: Body,
    C: Classify<Response<B>>,
{
}

impl<B, C> sealed::Cover<Response<B>, C> for BodyIdle
where
    B: Body,
    C: Classify<Response<B>>,
{
    type Output = Response<TimedBody<B, C>>;

    const SCOPE: Scope = Scope::BodyIdle;

    const LIMITS_RESPONSE: bool = false;

    fn responded(exchange: &mut Option<Exchange<C>>, response: Response<B>) -> Self::Output {
        let exchange = exchange.take();
        let is_sample = exchange.as_ref().is_some_and(|it| it.is_sample(&response));
        TimedBody::over(response, Limit::idle(is_sample), exchange)
    }
}

pin_project! {
    /// A response's body with a limit: [`WholeBody`] or [`BodyIdle`].
    ///
    /// When the limit has passed the inner body is dropped, which ends the work below, and the next
    /// frame is an [`Elapsed`](crate::error::Elapsed) in a [`BoxError`]. Then the body has ended.
    /// Frames, trailers, end and size are the inner body's otherwise.
    ///
    /// A frame that is there when the body is polled wins over a pause that was too long. It does not
    /// win over the limit of a whole body, unless it is the last one: a body that never pauses has a
    /// limit as well.
    ///
    /// There is no timer, and no allocation for it, until the body is polled and nothing is there.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the inner body; what was waited for counts as a latency of *at least* so
    /// long.
    pub struct TimedBody<B, C> {
        #[pin]
        body: Option<B>,
        limit: Limit,
        exchange: Option<Exchange<C>>,
        timer: Option<Pin<Box<Timer>>>,
    }

    impl<B, C> PinnedDrop for TimedBody<B, C> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(exchange) = this.exchange {
                this.limit.cancelled(exchange);
            }
        }
    }
}

impl<B: Body, C> TimedBody<B, C> {
    fn over(response: Response<B>, limit: Limit, exchange: Option<Exchange<C>>) -> Response<Self> {
        response.map(|body| Self {
            exchange: exchange.filter(|_| !body.is_end_stream()),
            body: Some(body),
            limit,
            timer: None,
        })
    }
}

impl<B, C> Body for TimedBody<B, C>
where
    B: Body<Error: Into<BoxError>>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut this = self.project();
        let Some(mut body) = this.body.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let frame = body.as_mut().poll_frame(cx);
        let Some(exchange) = this.exchange.as_mut() else {
            return frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)));
        };
        let step = match &frame {
            Poll::Pending => Step::Waits,
            Poll::Ready(None) => Step::End,
            Poll::Ready(Some(Err(_))) => Step::Failure,
            Poll::Ready(Some(Ok(frame))) => match frame.trailers_ref() {
                Some(trailers) if says_failure(trailers) => Step::Failure,
                Some(_) => Step::End,
                // After the last frame there may be no further poll.
                None if body.is_end_stream() => Step::End,
                None => Step::Frame,
            },
        };
        let elapsed = ready!(this.limit.poll(cx, exchange, this.timer, step));
        if elapsed.is_some() || matches!(step, Step::End | Step::Failure) {
            *this.exchange = None;
            *this.timer = None;
        }
        match elapsed {
            None => frame.map(|frame| frame.map(|frame| frame.map_err(Into::into))),
            Some(elapsed) => {
                this.body.set(None);
                Poll::Ready(Some(Err(elapsed.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Some(body) => body.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl<B: fmt::Debug, C> fmt::Debug for TimedBody<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimedBody")
            .field("body", &self.body)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

//! Until when a response counts as in flight.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::classify::outcome_of_trailers;
use crate::{Completion, InFlight, Outcome};

/// A request is in flight until its response's body has ended, has failed or was dropped. Latency
/// is still measured to the response's head.
///
/// A body that ends in an error, or in trailers with one of the gRPC statuses that
/// [`HttpClassify`](super::HttpClassify) takes for failures, is a failure of the endpoint, once for
/// each request. A body that is dropped before its end is what its head was: the reader has left.
/// [`blame`](Self::blame) tells other errors from those of the endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub struct AtEndOfBody;

impl AtEndOfBody {
    /// The same, but an error of the body is the endpoint's failure only if `blame` says so. Others
    /// count as if the body had been dropped.
    ///
    /// ```
    /// use std::io;
    /// use tower_balance_p2c::{BalanceLayer, http::AtEndOfBody};
    ///
    /// let own_fault = |error: &io::Error| error.kind() == io::ErrorKind::Interrupted;
    /// let builder = BalanceLayer::<http::Request<()>>::builder()
    ///     .completion(AtEndOfBody.blame(move |error: &io::Error| !own_fault(error)));
    /// # drop(builder);
    /// ```
    pub fn blame<F>(self, blame: F) -> AtEndOfBodyBlaming<F> {
        AtEndOfBodyBlaming { blame }
    }
}

impl<B: Body> Completion<Response<B>> for AtEndOfBody {
    type Output = Response<TrackedBody<B>>;

    fn complete(&self, in_flight: InFlight, response: Response<B>) -> Self::Output {
        TrackedBody::track(response, in_flight, BlameAll, Until::End)
    }
}

/// A request is in flight until the first frame of its response's body is there, has failed or was
/// dropped: for endpoints whose work is done when they begin to answer, while the bodies take as
/// long as their readers do.
///
/// A body that fails before its first frame is a failure of the endpoint, and so is a gRPC status
/// that is the first frame; what comes later is not seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct AtFirstFrame;

impl<B: Body> Completion<Response<B>> for AtFirstFrame {
    type Output = Response<TrackedBody<B>>;

    fn complete(&self, in_flight: InFlight, response: Response<B>) -> Self::Output {
        TrackedBody::track(response, in_flight, BlameAll, Until::FirstFrame)
    }
}

/// [`AtEndOfBody`], with a say in which errors are the endpoint's: made by
/// [`blame`](AtEndOfBody::blame).
#[derive(Clone, Copy)]
pub struct AtEndOfBodyBlaming<F> {
    blame: F,
}

impl<B, F> Completion<Response<B>> for AtEndOfBodyBlaming<F>
where
    B: Body,
    F: Blame<B::Error> + Clone,
{
    type Output = Response<TrackedBody<B, F>>;

    fn complete(&self, in_flight: InFlight, response: Response<B>) -> Self::Output {
        TrackedBody::track(response, in_flight, self.blame.clone(), Until::End)
    }
}

impl<F> fmt::Debug for AtEndOfBodyBlaming<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtEndOfBodyBlaming").finish_non_exhaustive()
    }
}

/// Tells which errors of a body are its endpoint's: any `Fn(&E) -> bool`, or [`BlameAll`].
///
/// It cannot be implemented for other types.
pub trait Blame<E>: sealed::Sealed<E> {
    /// Whether this error is a failure of the endpoint.
    fn blames(&self, error: &E) -> bool;
}

/// Every error of a body is its endpoint's.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlameAll;

mod sealed {
    pub trait Sealed<E> {}
    impl<E> Sealed<E> for super::BlameAll {}
    impl<E, F: Fn(&E) -> bool> Sealed<E> for F {}
}

impl<E> Blame<E> for BlameAll {
    fn blames(&self, _: &E) -> bool {
        true
    }
}

impl<E, F: Fn(&E) -> bool> Blame<E> for F {
    fn blames(&self, error: &E) -> bool {
        self(error)
    }
}

pin_project! {
    /// A body that keeps its request in flight until it has ended, has failed or is dropped.
    pub struct TrackedBody<B, F = BlameAll> {
        #[pin]
        body: B,
        in_flight: Option<InFlight>,
        blame: F,
        until: Until,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    FirstFrame,
    End,
}

impl<B: Body, F> TrackedBody<B, F> {
    fn track(response: Response<B>, in_flight: InFlight, blame: F, until: Until) -> Response<Self> {
        response.map(|body| Self {
            // Nobody has to poll a body that is empty.
            in_flight: (!body.is_end_stream()).then_some(in_flight),
            body,
            blame,
            until,
        })
    }
}

impl<B: Body, F: Blame<B::Error>> Body for TrackedBody<B, F> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = this.body.as_mut().poll_frame(cx);
        let outcome = match &frame {
            Poll::Pending => return frame,
            Poll::Ready(Some(Err(error))) if this.blame.blames(error) => Some(Outcome::Failure),
            // An error that is not the endpoint's is as if the reader had left.
            Poll::Ready(None | Some(Err(_))) => Some(Outcome::Success),
            Poll::Ready(Some(Ok(frame))) => {
                let told = frame.trailers_ref().map(outcome_of_trailers);
                // After the last frame there may be no further poll.
                let is_over = *this.until == Until::FirstFrame || this.body.is_end_stream();
                told.or(is_over.then_some(Outcome::Success))
            }
        };
        if let Some(outcome) = outcome
            && let Some(in_flight) = this.in_flight.take()
        {
            in_flight.ended(outcome);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B, F> fmt::Debug for TrackedBody<B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackedBody")
            .field("in_flight", &self.in_flight.is_some())
            .finish_non_exhaustive()
    }
}

//! Classification and completion for [`http::Response`].

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{Classify, Completion, InFlight, Outcome};

/// Failures are errors, the statuses 5xx and 429, and gRPC responses whose head says UNKNOWN (2),
/// DEADLINE_EXCEEDED (4), RESOURCE_EXHAUSTED (8), INTERNAL (13), UNAVAILABLE (14) or DATA_LOSS
/// (15). A gRPC status that comes in trailers, after messages, is not seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpClassify;

impl<B, E> Classify<Response<B>, E> for HttpClassify {
    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        match result {
            Ok(response) if is_success(response.status(), response.headers()) => Outcome::Success,
            _ => Outcome::Failure,
        }
    }
}

fn is_success(status: StatusCode, headers: &HeaderMap) -> bool {
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return false;
    }
    let grpc_status = headers.get("grpc-status");
    !grpc_status.is_some_and(|status| GRPC_FAILURES.contains(&status.as_bytes()))
}

/// A request is in flight until its response's body has ended, has failed or was dropped. Latency
/// is still measured to the response's head.
#[derive(Clone, Copy, Debug, Default)]
pub struct AtEndOfBody;

impl<B: Body> Completion<Response<B>> for AtEndOfBody {
    type Output = Response<TrackedBody<B>>;

    fn complete(&self, in_flight: InFlight, response: Response<B>) -> Self::Output {
        response.map(|body| TrackedBody {
            // Nobody has to poll a body that is empty.
            in_flight: (!body.is_end_stream()).then_some(in_flight),
            body,
        })
    }
}

pin_project! {
    /// A body that keeps its request in flight until it has ended, has failed or is dropped.
    pub struct TrackedBody<B> {
        #[pin]
        body: B,
        in_flight: Option<InFlight>,
    }
}

impl<B: Body> Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = this.body.as_mut().poll_frame(cx);
        let over = match &frame {
            Poll::Ready(None | Some(Err(_))) => true,
            // After the last frame there may be no further poll.
            Poll::Ready(Some(Ok(_))) => this.body.is_end_stream(),
            Poll::Pending => false,
        };
        if over {
            *this.in_flight = None;
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

impl<B> fmt::Debug for TrackedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackedBody")
            .field("in_flight", &self.in_flight.is_some())
            .finish_non_exhaustive()
    }
}

const GRPC_FAILURES: [&[u8]; 6] = [b"2", b"4", b"8", b"13", b"14", b"15"];

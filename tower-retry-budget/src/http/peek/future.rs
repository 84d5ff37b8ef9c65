//! The future.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use ::http::{HeaderMap, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::{
    super::{
        code::GrpcCode,
        grpc::{GRPC_STATUS, is_grpc},
    },
    Peeked, PeekedTrailers,
    layer::Settings,
};

pin_project! {
    /// The response of a [`PeekTrailers`](super::PeekTrailers) service.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the inner future, or the answer.
    #[must_use = "futures do nothing unless polled"]
    pub struct PeekFuture<F, B: Body> {
        #[pin]
        state: State<F, B>,
        settings: Settings,
    }
}

impl<F, B: Body> PeekFuture<F, B> {
    pub(super) fn new(inner: F, settings: Settings) -> Self {
        Self {
            state: State::Calling { inner },
            settings,
        }
    }
}

impl<F, B, E> Future for PeekFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body + Unpin,
{
    type Output = Result<Response<Peeked<B>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut this = self.as_mut().project();
            let settings = *this.settings;
            let mut answer = match this.state.as_mut().project() {
                StateProj::Calling { inner } => ready!(inner.poll(cx))?.map(Peeked::new),
                StateProj::Waiting { answer, timer } => {
                    let Some(peeked) = answer else {
                        // Polled again after the end.
                        return Poll::Pending;
                    };
                    if peeked.body_mut().peek(settings.limit, cx).is_pending() {
                        ready!(timer.poll(cx));
                    }
                    let answer = answer.take().map(shown);
                    return answer.map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer)));
                }
            };
            if settings.limit == 0 || !may_have_trailers(&answer) {
                return Poll::Ready(Ok(answer));
            }
            let peeked = answer.body_mut().peek(settings.limit, cx);
            if peeked.is_ready() || settings.wait.is_zero() {
                return Poll::Ready(Ok(shown(answer)));
            }
            this.state.set(State::Waiting {
                answer: Some(answer),
                timer: sleep(settings.wait),
            });
        }
    }
}

impl<F, B: Body> fmt::Debug for PeekFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeekFuture")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B: Body> {
        Calling {
            #[pin]
            inner: F,
        },
        // For more of the answer, or for no longer.
        Waiting {
            answer: Option<Response<Peeked<B>>>,
            #[pin]
            timer: Sleep,
        },
    }
}

/// Whether its code, if it has one, is still to come.
fn may_have_trailers<B: Body>(answer: &Response<B>) -> bool {
    let headers = answer.headers();
    is_grpc(headers) && !headers.contains_key(GRPC_STATUS) && !answer.body().is_end_stream()
}

/// Puts the trailers into the extensions if they tell of a failure.
fn shown<B: Body>(mut answer: Response<Peeked<B>>) -> Response<Peeked<B>> {
    let failure = answer
        .body()
        .trailers()
        .filter(|trailers| is_failure(trailers));
    if let Some(trailers) = failure.cloned() {
        answer
            .extensions_mut()
            .insert(PeekedTrailers::new(trailers));
    }
    answer
}

fn is_failure(trailers: &HeaderMap) -> bool {
    let status = trailers.get(GRPC_STATUS);
    status.is_some_and(|status| !GrpcCode::read(status).is_some_and(GrpcCode::is_ok))
}

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use crate::BoxError;

pin_project! {
    /// A body that must not pause for longer than a limit.
    ///
    /// The data is polled before the timer, and the timer only runs while there is none: a reader
    /// that was slow itself does not turn waiting data into a timeout.
    #[derive(Debug)]
    pub struct IdleBody<B> {
        #[pin]
        body: B,
        limit: Duration,
        // Boxed, and only once a body has paused: hyper wants bodies that can be moved.
        sleep: Option<Pin<Box<Sleep>>>,
        pausing: bool,
    }
}

/// A body paused for too long.
#[derive(Clone, Copy, Debug)]
pub struct Paused {
    limit: Duration,
}

pub(super) type PausingFrame<B> = Result<Frame<<B as Body>::Data>, PausedOr<<B as Body>::Error>>;

/// A pause, or what was wrong with the body itself.
pub(super) enum PausedOr<E> {
    Paused(Paused),
    Other(E),
}

impl<B> IdleBody<B> {
    /// Bounds the pauses of `body`.
    pub fn new(body: B, limit: Duration) -> Self {
        Self {
            body,
            limit,
            sleep: None,
            pausing: false,
        }
    }

    pub(super) fn poll_inner(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<PausingFrame<B>>>
    where
        B: Body,
    {
        let this = self.project();
        if let Poll::Ready(frame) = this.body.poll_frame(cx) {
            *this.pausing = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(PausedOr::Other)));
        }
        let sleep = match this.sleep {
            Some(sleep) => {
                if !*this.pausing {
                    sleep.as_mut().reset(Instant::now() + *this.limit);
                }
                sleep
            }
            None => this.sleep.insert(Box::pin(sleep(*this.limit))),
        };
        *this.pausing = true;
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Some(Err(PausedOr::Paused(Paused { limit: *this.limit }))))
    }
}

impl<B> Body for IdleBody<B>
where
    B: Body<Error: Into<BoxError>>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        self.poll_inner(cx).map_err(|error| match error {
            PausedOr::Paused(paused) => paused.into(),
            PausedOr::Other(error) => error.into(),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl fmt::Display for Paused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no piece of the body came for {:?}", self.limit)
    }
}

impl Error for Paused {}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;
    use tokio::sync::mpsc;
    use tokio_test::{assert_pending, assert_ready, task};

    use bytes::Bytes;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(1003);

    type Source = mpsc::UnboundedSender<Result<Frame<Bytes>, BoxError>>;

    fn body() -> (
        Source,
        task::Spawn<IdleBody<impl Body<Data = Bytes, Error = BoxError>>>,
    ) {
        let (source, mut frames) = mpsc::unbounded_channel();
        let frames = futures::stream::poll_fn(move |cx| frames.poll_recv(cx));
        (
            source,
            task::spawn(IdleBody::new(StreamBody::new(frames), LIMIT)),
        )
    }

    fn frame() -> Result<Frame<Bytes>, BoxError> {
        Ok(Frame::data(Bytes::from_static(b"data")))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_pauses_for_too_long_fails() {
        let (_source, mut body) = body();
        assert_pending!(body.enter(|cx, body| body.poll_frame(cx)));
        tokio::time::advance(LIMIT).await;
        assert!(body.is_woken());
        let frame = assert_ready!(body.enter(|cx, body| body.poll_frame(cx)));
        assert!(frame.unwrap().unwrap_err().is::<Paused>());
    }

    #[tokio::test(start_paused = true)]
    async fn each_piece_begins_the_pause_anew() {
        let (source, mut body) = body();
        for _ in 0..3 {
            assert_pending!(body.enter(|cx, body| body.poll_frame(cx)));
            tokio::time::advance(LIMIT - Duration::from_millis(3)).await;
            source.send(frame()).unwrap();
            let frame = assert_ready!(body.enter(|cx, body| body.poll_frame(cx)));
            assert!(frame.unwrap().is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_was_slow_itself_still_gets_what_is_there() {
        let (source, mut body) = body();
        assert_pending!(body.enter(|cx, body| body.poll_frame(cx)));
        source.send(frame()).unwrap();
        tokio::time::advance(LIMIT * 5).await;
        let frame = assert_ready!(body.enter(|cx, body| body.poll_frame(cx)));
        assert!(frame.unwrap().is_ok());
    }
}

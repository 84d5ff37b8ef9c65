//! The bodies that pass through, each frame by frame: nothing here buffers.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use crate::{BoxError, config::Limits, server::InUse};

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

pin_project! {
    /// A client's request body: bounded in size and in pauses.
    #[derive(Debug)]
    pub struct ClientBody {
        #[pin]
        body: IdleBody<Incoming>,
        limit: u64,
        received: u64,
        fate: Option<BodyFate>,
        in_use: Option<InUse>,
    }
}

pin_project! {
    /// A response body: an endpoint's, or the proxy's own.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        origin: Origin<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = OriginProj]
    enum Origin<B> {
        Endpoint { #[pin] body: IdleBody<B> },
        Proxy { text: Option<Bytes> },
    }
}

/// Whether a client's body failed, seen from the side.
///
/// An HTTP/2 client stack resets the stream of a body that fails and forgets why; this remembers,
/// so that the endpoint is not blamed and the client hears the reason.
#[derive(Clone, Debug, Default)]
pub struct BodyFate(Arc<OnceLock<ClientBodyError>>);

/// A body paused for too long.
#[derive(Clone, Copy, Debug)]
pub struct Paused {
    limit: Duration,
}

type PausingFrame<B> = Result<Frame<<B as Body>::Data>, PausedOr<<B as Body>::Error>>;

/// A pause, or what was wrong with the body itself.
enum PausedOr<E> {
    Paused(Paused),
    Other(E),
}

/// Why a client's body could not be passed on; the endpoint is not to blame.
#[derive(Clone, Debug)]
pub enum ClientBodyError {
    /// More bytes than `limits.body_bytes`.
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// A pause longer than `limits.body_idle`.
    Paused(Paused),
    /// The connection broke, or the framing was wrong.
    Broken(Arc<hyper::Error>),
}

// === impl IdleBody ===

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

    fn poll_inner(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PausingFrame<B>>>
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

// === impl ClientBody ===

impl ClientBody {
    /// Bounds a client's body, which keeps its connection in use until it has ended.
    ///
    /// # Errors
    ///
    /// When its announced length is over the limit.
    pub(crate) fn new(
        body: Incoming,
        limits: &Limits,
        in_use: &InUse,
    ) -> Result<Self, ClientBodyError> {
        let limit = match limits.body_bytes.count() {
            0 => u64::MAX,
            limit => limit,
        };
        if body.size_hint().lower() > limit {
            return Err(ClientBodyError::TooLarge { limit });
        }
        let has_more = !body.is_end_stream();
        Ok(Self {
            body: IdleBody::new(body, limits.body_idle),
            limit,
            received: 0,
            fate: has_more.then(BodyFate::default),
            in_use: has_more.then(|| in_use.clone()),
        })
    }

    /// Where to learn whether this body failed; none for a body that is empty.
    pub fn fate(&self) -> Option<BodyFate> {
        self.fate.clone()
    }

    fn poll_bounded(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientBodyError>>> {
        let this = self.project();
        let frame = match ready!(this.body.poll_inner(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(PausedOr::Other(error))) => {
                return Poll::Ready(Some(Err(ClientBodyError::Broken(Arc::new(error)))));
            }
            Some(Err(PausedOr::Paused(paused))) => {
                return Poll::Ready(Some(Err(ClientBodyError::Paused(paused))));
            }
            None => return Poll::Ready(None),
        };
        if let Some(data) = frame.data_ref() {
            *this.received = this.received.saturating_add(data.remaining() as u64);
            if *this.received > *this.limit {
                return Poll::Ready(Some(Err(ClientBodyError::TooLarge { limit: *this.limit })));
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

impl BodyFate {
    /// How the body failed, if it did.
    pub fn failure(&self) -> Option<ClientBodyError> {
        self.0.get().cloned()
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = ClientBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientBodyError>>> {
        let frame = ready!(self.as_mut().poll_bounded(cx));
        if !matches!(frame, Some(Ok(_))) || self.is_end_stream() {
            *self.as_mut().project().in_use = None;
        }
        if let (Some(Err(error)), Some(fate)) = (&frame, &self.fate) {
            // The first failure is the reason; a second one cannot be.
            let _ = fate.0.set(error.clone());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl ResponseBody ===

impl<B> ResponseBody<B> {
    /// Passes an endpoint's body on.
    pub fn endpoint(body: B, pause: Duration) -> Self {
        Self {
            origin: Origin::Endpoint {
                body: IdleBody::new(body, pause),
            },
        }
    }

    /// The proxy's own words.
    pub fn own(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        Self {
            origin: Origin::Proxy {
                text: Some(text).filter(|text| !text.is_empty()),
            },
        }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().origin.project() {
            OriginProj::Endpoint { body } => body.poll_frame(cx),
            OriginProj::Proxy { text } => Poll::Ready(text.take().map(Frame::data).map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.origin {
            Origin::Endpoint { body } => body.is_end_stream(),
            Origin::Proxy { text } => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.origin {
            Origin::Endpoint { body } => body.size_hint(),
            Origin::Proxy { text } => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
        }
    }
}

// === impl Paused, ClientBodyError ===

impl fmt::Display for Paused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no piece of the body came for {:?}", self.limit)
    }
}

impl Error for Paused {}

impl fmt::Display for ClientBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { limit } => {
                write!(f, "the request's body is longer than {limit} bytes")
            }
            Self::Paused(paused) => write!(f, "the request's body stopped: {paused}"),
            Self::Broken(error) => write!(f, "the request's body broke off: {error}"),
        }
    }
}

impl Error for ClientBodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::TooLarge { .. } => None,
            Self::Paused(paused) => Some(paused),
            Self::Broken(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;
    use tokio::sync::mpsc;
    use tokio_test::{assert_pending, assert_ready, task};

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

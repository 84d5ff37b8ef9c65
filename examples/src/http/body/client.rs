use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::{
    expectation::{Expectation, Held},
    idle::{IdleBody, Paused, PausedOr},
};
use crate::{config::Limits, server::InUse, telemetry::Limit};

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
        held: Option<Held>,
        is_http2: bool,
    }
}

/// Whether a client's body failed, seen from the side.
///
/// An HTTP/2 client stack resets the stream of a body that fails and forgets why; this remembers,
/// so that the endpoint is not blamed and the client hears the reason.
#[derive(Clone, Debug, Default)]
pub struct BodyFate(Arc<Fate>);

#[derive(Debug, Default)]
struct Fate {
    failure: OnceLock<ClientBodyError>,
    is_whole: AtomicBool,
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
    /// The client gave its stream up.
    Reset,
}

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
            in_use.reached(Limit::BodyBytes);
            return Err(ClientBodyError::TooLarge { limit });
        }
        let has_more = !body.is_end_stream();
        Ok(Self {
            body: IdleBody::new(body, limits.body_idle),
            limit,
            received: 0,
            fate: has_more.then(BodyFate::default),
            in_use: has_more.then(|| in_use.body()),
            held: None,
            is_http2: in_use.is_http2(),
        })
    }

    /// Asks the client for nothing until the endpoint has asked for it.
    pub(crate) fn hold_for(mut self, expectation: Expectation) -> Self {
        self.held = Some(Held::new(expectation));
        self
    }

    /// Where to learn whether this body failed; none for a body that is empty.
    pub fn fate(&self) -> Option<BodyFate> {
        self.fate.clone()
    }

    fn poll_bounded(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientBodyError>>> {
        let mut this = self.project();
        if let Some(held) = this.held {
            ready!(held.poll_let_go(cx));
            *this.held = None;
        }
        let frame = match ready!(this.body.as_mut().poll_inner(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(PausedOr::Other(error))) => {
                return Poll::Ready(Some(Err(ClientBodyError::Broken(Arc::new(error)))));
            }
            Some(Err(PausedOr::Paused(paused))) => {
                return Poll::Ready(Some(Err(ClientBodyError::Paused(paused))));
            }
            // hyper takes a reset without an error for an end.
            None if *this.is_http2 && !this.body.is_end_stream() => {
                return Poll::Ready(Some(Err(ClientBodyError::Reset)));
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

impl ClientBodyError {
    fn limit(&self) -> Option<Limit> {
        match self {
            Self::TooLarge { .. } => Some(Limit::BodyBytes),
            Self::Paused(_) => Some(Limit::BodyIdle),
            Self::Broken(_) | Self::Reset => None,
        }
    }
}

impl BodyFate {
    /// How the body failed, if it did.
    pub fn failure(&self) -> Option<ClientBodyError> {
        self.0.failure.get().cloned()
    }

    /// Whether the body has been read to its end.
    pub fn is_whole(&self) -> bool {
        self.0.is_whole.load(Relaxed)
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
        if let (Some(Err(error)), Some(in_use)) = (&frame, &self.in_use)
            && let Some(limit) = error.limit()
        {
            in_use.reached(limit);
        }
        let is_whole = frame.is_none() || self.is_end_stream();
        if is_whole && let Some(fate) = &self.fate {
            fate.0.is_whole.store(true, Relaxed);
        }
        if is_whole || matches!(frame, Some(Err(_))) {
            *self.as_mut().project().in_use = None;
        }
        if let (Some(Err(error)), Some(fate)) = (&frame, &self.fate) {
            // The first failure is the reason; a second one cannot be.
            let _ = fate.0.failure.set(error.clone());
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

impl fmt::Display for ClientBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { limit } => {
                write!(f, "the request's body is longer than {limit} bytes")
            }
            Self::Paused(paused) => write!(f, "the request's body stopped: {paused}"),
            Self::Broken(error) => write!(f, "the request's body broke off: {error}"),
            Self::Reset => f.write_str("the client gave its stream up within the request's body"),
        }
    }
}

impl Error for ClientBodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::TooLarge { .. } | Self::Reset => None,
            Self::Paused(paused) => Some(paused),
            Self::Broken(error) => Some(error),
        }
    }
}

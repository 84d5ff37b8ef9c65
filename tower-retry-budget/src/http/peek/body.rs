//! A body of which a part has been read.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use ::http::HeaderMap;
use bytes::Buf;
use http_body::{Body, Frame, SizeHint};

/// The body of a response that a [`PeekTrailersLayer`](super::PeekTrailersLayer) has looked into:
/// what has been read comes first, then the rest.
pub struct Peeked<B: Body> {
    body: B,
    read: VecDeque<Result<Frame<B::Data>, B::Error>>,
    /// Bytes of data in what has been read.
    bytes: u64,
    /// Whether the body is not to be polled any more.
    has_ended: bool,
}

impl<B: Body> Peeked<B> {
    pub(super) fn new(body: B) -> Self {
        Self {
            body,
            read: VecDeque::new(),
            bytes: 0,
            has_ended: false,
        }
    }

    /// The last frame, if it is the trailers.
    pub(super) fn trailers(&self) -> Option<&HeaderMap> {
        self.read.back()?.as_ref().ok()?.trailers_ref()
    }

    /// Pending while there may be more that is worth waiting for.
    pub(super) fn peek(&mut self, limit: usize, cx: &mut Context<'_>) -> Poll<()>
    where
        B: Unpin,
    {
        loop {
            let weight = self.bytes.max(self.read.len() as u64 * MIN_FRAME);
            if self.has_ended || weight > limit as u64 {
                return Poll::Ready(());
            }
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            self.has_ended = match &frame {
                Some(Ok(frame)) => frame.is_trailers(),
                Some(Err(_)) | None => true,
            };
            if let Some(Ok(frame)) = &frame {
                self.bytes += frame.data_ref().map_or(0, length);
            }
            self.read.extend(frame);
        }
    }
}

impl<B: Body + Unpin> Body for Peeked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        if let Some(frame) = self.read.pop_front() {
            if let Ok(frame) = &frame {
                self.bytes -= frame.data_ref().map_or(0, length);
            }
            return Poll::Ready(Some(frame));
        }
        if self.has_ended {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && (self.has_ended || self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        if self.has_ended {
            return SizeHint::with_exact(self.bytes);
        }
        let mut hint = self.body.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(self.bytes));
        }
        hint.set_lower(hint.lower().saturating_add(self.bytes));
        hint
    }
}

// Nothing in it is pinned.
impl<B: Body + Unpin> Unpin for Peeked<B> {}

impl<B: Body> fmt::Debug for Peeked<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peeked")
            .field("read", &self.read.len())
            .finish_non_exhaustive()
    }
}

fn length(data: &impl Buf) -> u64 {
    data.remaining() as u64
}

/// What a frame counts for at least.
const MIN_FRAME: u64 = 64;

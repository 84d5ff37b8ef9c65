//! A client's bytes, as far as its connection's timeouts and the words between messages care.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{activity::Activity, words};
use crate::http::interim::Interims;

/// A stream that notices when a request's head begins and when the client takes no bytes, and that
/// writes what hyper does not: interim answers, and reasons beside hyper's own refusals.
#[derive(Debug)]
pub(super) struct Watched<IO> {
    io: IO,
    activity: Arc<Activity>,
    interims: Interims,
    preface: Preface,
    /// For HTTP/2: how many bytes have come.
    http2_bytes: Option<usize>,
    own: Own,
    /// How many exchanges have been written whole.
    flushed: u32,
}

/// The first bytes of a connection, read to tell HTTP/2 from HTTP/1, and then read once more.
#[derive(Debug, Default)]
struct Preface {
    bytes: [u8; HTTP2_PREFACE.len()],
    filled: usize,
    replayed: usize,
}

/// Bytes of our own that are being written.
#[derive(Debug, Default)]
struct Own {
    bytes: Vec<u8>,
    written: usize,
    /// How many of hyper's bytes they stand for.
    instead_of: usize,
}

impl<IO> Watched<IO> {
    pub(super) fn new(io: IO, activity: Arc<Activity>, interims: Interims) -> Self {
        Self {
            io,
            activity,
            interims,
            preface: Preface::default(),
            http2_bytes: None,
            own: Own::default(),
            flushed: 0,
        }
    }

    /// It is known that HTTP/2 will be spoken.
    pub(super) fn expect_http2(&mut self) {
        self.http2_bytes = Some(self.preface.filled);
    }

    /// The bytes' way alone.
    pub(super) fn into_inner(self) -> IO {
        self.io
    }
}

impl<IO: AsyncRead + Unpin> Watched<IO> {
    /// Reads until it is clear whether the client speaks HTTP/2; a client that ends before says
    /// that it does not.
    pub(super) fn poll_is_http2(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            let Preface { bytes, filled, .. } = &mut self.preface;
            if bytes[..*filled] != HTTP2_PREFACE[..*filled] {
                return Poll::Ready(Ok(false));
            }
            if *filled == bytes.len() {
                return Poll::Ready(Ok(true));
            }
            let mut buffer = ReadBuf::new(&mut bytes[*filled..]);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            let read = buffer.filled().len();
            if read == 0 {
                return Poll::Ready(Ok(false));
            }
            *filled += read;
            self.activity.bytes_came();
        }
    }
}

impl<IO> Watched<IO> {
    fn bytes_came(&mut self, came: usize) {
        let Some(before) = self.http2_bytes else {
            return self.activity.bytes_came();
        };
        if before <= HTTP2_PREFACE.len() {
            let now = before + came;
            self.http2_bytes = Some(now);
            if now > HTTP2_PREFACE.len() {
                self.activity.greeted();
            }
        }
    }
}

impl Preface {
    fn replay(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        if self.replayed == self.filled {
            return false;
        }
        let rest = &self.bytes[self.replayed..self.filled];
        let length = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..length]);
        self.replayed += length;
        true
    }
}

impl<IO: AsyncWrite + Unpin> Watched<IO> {
    /// Writes what we have begun to write ourselves.
    fn poll_own(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let own = &mut self.own;
        while own.written < own.bytes.len() {
            let polled = Pin::new(&mut self.io).poll_write(cx, &own.bytes[own.written..]);
            self.activity.wrote(&polled);
            match ready!(polled)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => own.written += written,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes ours in the place of hyper's own refusal; nothing to do for other bytes.
    fn poll_instead(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<Option<usize>>> {
        // What hyper writes while an exchange is not written whole may be anybody's bytes.
        if self.own.instead_of == 0
            && self.flushed == self.activity.served()
            && let Some(reason) = words::instead_of(bytes)
        {
            self.own = Own {
                bytes: reason,
                written: 0,
                instead_of: bytes.len(),
            };
        }
        ready!(self.poll_own(cx))?;
        let instead_of = std::mem::take(&mut self.own.instead_of);
        Poll::Ready(Ok((instead_of > 0).then_some(instead_of)))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.preface.replay(buffer) {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        let came = buffer.filled().len() - before;
        if came > 0 {
            self.bytes_came(came);
        }
        polled
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(written) = ready!(self.poll_instead(cx, bytes))? {
            return Poll::Ready(Ok(written));
        }
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.activity.wrote(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A refusal has no body, so it is one slice.
        let only = match slices {
            [only] => only,
            _ => &[][..],
        };
        if let Some(written) = ready!(self.poll_instead(cx, only))? {
            return Poll::Ready(Ok(written));
        }
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.activity.wrote(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// hyper flushes with nothing in its own buffer: then we are between two messages.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_own(cx))?;
        while let Some(bytes) = self.interims.take() {
            self.own = Own {
                bytes,
                ..Own::default()
            };
            ready!(self.poll_own(cx))?;
        }
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.activity.wrote(&polled);
        if polled.is_ready() && !self.activity.is_in_use() {
            self.flushed = self.activity.served();
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

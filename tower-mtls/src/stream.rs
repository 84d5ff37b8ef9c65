//! A verified connection.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use crate::{PeerIdentity, error::HandshakeError};

/// A TLS 1.3 connection over `IO` and the identity of its peer; of either side.
///
/// What is written may stay in a buffer until [`poll_flush`](AsyncWrite::poll_flush).
/// [`poll_shutdown`](AsyncWrite::poll_shutdown) tells the peer that the data ends here; a reader that meets
/// the end of `IO` without that gets [`UnexpectedEof`](io::ErrorKind::UnexpectedEof), because the data may
/// have been cut off by someone else.
///
/// # A refusal that comes late
///
/// In TLS 1.3 the client's part of the handshake ends before the server has looked at the client's
/// certificate. A client that is refused learns it from its first read: an error of kind
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied) which holds a [`HandshakeError`] for
/// [`RejectedByPeer`](crate::error::Reason::RejectedByPeer). Its first write may succeed before.
pub struct MtlsStream<IO> {
    inner: TlsStream<IO>,
    peer: Option<PeerIdentity>,
}

impl<IO> MtlsStream<IO> {
    pub(crate) fn new(inner: TlsStream<IO>, peer: Option<PeerIdentity>) -> Self {
        Self { inner, peer }
    }

    /// The verified peer. It is `None` only where the acceptor was told not to ask for a client
    /// certificate.
    pub fn peer(&self) -> Option<&PeerIdentity> {
        self.peer.as_ref()
    }

    /// The application protocol that both sides agreed on; `None` where a side named none.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.inner.get_ref().1.alpn_protocol()
    }

    /// The connection below.
    pub fn get_ref(&self) -> &IO {
        self.inner.get_ref().0
    }
}

impl<IO> AsyncRead for MtlsStream<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buf));
        Poll::Ready(read.map_err(HandshakeError::explain_read))
    }
}

impl<IO> AsyncWrite for MtlsStream<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<IO: fmt::Debug> fmt::Debug for MtlsStream<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MtlsStream")
            .field("io", self.get_ref())
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

//! A verified connection.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use crate::{
    PeerIdentity, Validity, connections::Connections, error::HandshakeError, observer::Version,
    validity::Standing,
};

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
///
/// # When the peer is no longer accepted
///
/// A peer's certificate may expire while the connection is open, and at a rotation it may be found to be
/// revoked, or its root withdrawn. Then reads and writes fail at once, those that wait included, with an error
/// of kind `PermissionDenied` that holds a [`PeerNoLongerValid`](crate::error::PeerNoLongerValid). Data that had
/// been received, but not read, is not given out any more. Set
/// [`end_connections(false)`](crate::accept::AcceptorBuilder::end_connections) on the builder to go on, and watch
/// [`validity`](Self::validity).
pub struct MtlsStream<IO> {
    inner: TlsStream<IO>,
    peer: Option<Peer>,
}

/// The verified peer, and the registry that this connection is in until it is dropped.
pub(crate) struct Peer {
    pub(crate) identity: PeerIdentity,
    pub(crate) _connections: Arc<Connections>,
}

impl<IO> MtlsStream<IO> {
    pub(crate) fn new(inner: TlsStream<IO>, peer: Option<Peer>) -> Self {
        Self { inner, peer }
    }

    /// The verified peer. It is `None` only where the acceptor was told not to ask for a client
    /// certificate.
    pub fn peer(&self) -> Option<&PeerIdentity> {
        self.peer.as_ref().map(|peer| &peer.identity)
    }

    /// Whether the peer would still be accepted; `None` where there is no verified peer.
    pub fn validity(&self) -> Option<&Validity> {
        self.peer()?.validity()
    }

    /// The application protocol that both sides agreed on; `None` where a side named none.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.inner.get_ref().1.alpn_protocol()
    }

    /// The version of TLS.
    pub fn version(&self) -> Version {
        match self.inner.get_ref().1.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => Version::Tls12,
            _ => Version::Tls13,
        }
    }

    /// The group of the key exchange, such as `X25519MLKEM768`.
    pub fn group(&self) -> Option<&'static str> {
        let group = self.inner.get_ref().1.negotiated_key_exchange_group()?;
        group.name().as_str()
    }

    /// The name that the client asked for (SNI), on the server's side. A client that expects a SPIFFE identity
    /// asks for none.
    pub fn server_name(&self) -> Option<&str> {
        match &self.inner {
            TlsStream::Server(stream) => stream.get_ref().1.server_name(),
            TlsStream::Client(_) => None,
        }
    }

    /// The connection below.
    pub fn get_ref(&self) -> &IO {
        self.inner.get_ref().0
    }

    fn check(&self) -> io::Result<()> {
        match self.standing().and_then(Standing::closed) {
            Some(ended) => Err(ended.clone().into_io()),
            None => Ok(()),
        }
    }

    /// Waits for the connection below, or for the end of the peer's validity.
    fn wait<T>(&self, cx: &Context<'_>, register: fn(&Standing, &Waker)) -> Poll<io::Result<T>> {
        if let Some(standing) = self.standing() {
            register(standing, cx.waker());
            self.check()?;
        }
        Poll::Pending
    }

    fn standing(&self) -> Option<&Standing> {
        self.validity().map(Validity::standing)
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
        self.check()?;
        match Pin::new(&mut self.inner).poll_read(cx, buf) {
            Poll::Ready(read) => Poll::Ready(read.map_err(HandshakeError::explain_read)),
            Poll::Pending => self.wait(cx, Standing::register_reader),
        }
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
        self.check()?;
        match Pin::new(&mut self.inner).poll_write(cx, buf) {
            Poll::Ready(written) => Poll::Ready(written),
            Poll::Pending => self.wait(cx, Standing::register_writer),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        match Pin::new(&mut self.inner).poll_write_vectored(cx, bufs) {
            Poll::Ready(written) => Poll::Ready(written),
            Poll::Pending => self.wait(cx, Standing::register_writer),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        match Pin::new(&mut self.inner).poll_flush(cx) {
            Poll::Ready(flushed) => Poll::Ready(flushed),
            Poll::Pending => self.wait(cx, Standing::register_writer),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<IO: fmt::Debug> fmt::Debug for MtlsStream<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MtlsStream")
            .field("io", self.get_ref())
            .field("peer", &self.peer())
            .finish_non_exhaustive()
    }
}

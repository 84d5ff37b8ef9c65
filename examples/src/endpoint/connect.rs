//! From an address to a byte stream: TCP, and mutual TLS where it is configured.

use std::{
    future::Future,
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tower_layer::Layer;
use tower_mtls::{Mtls, MtlsLayer, MtlsStream, PeerIdentity};
use tower_service::Service;

use super::log::Opened;
use crate::BoxError;

/// Connects to an endpoint.
#[derive(Clone, Debug)]
pub enum Connector {
    /// Cleartext.
    Tcp(Tcp),
    /// TLS, mutual where we have a certificate.
    Tls(Mtls<Tcp>),
}

/// Connects sockets, with the options that a long-lived connection needs.
#[derive(Clone, Copy, Debug)]
pub struct Tcp {
    keepalive: Duration,
}

/// A connection to an endpoint.
#[derive(Debug)]
pub struct Io {
    stream: Stream,
    /// Counts it while it is open.
    _opened: Option<Opened>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<MtlsStream<TcpStream>>),
}

/// Builds the connector of a cluster.
pub fn connector(keepalive: Duration, tls: Option<&MtlsLayer>) -> Connector {
    let tcp = Tcp { keepalive };
    match tls {
        Some(tls) => Connector::Tls(tls.layer(tcp)),
        None => Connector::Tcp(tcp),
    }
}

impl Service<SocketAddr> for Connector {
    type Response = Io;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Io, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_ready(cx).map_err(Into::into),
            Self::Tls(tls) => tls.poll_ready(cx),
        }
    }

    fn call(&mut self, address: SocketAddr) -> Self::Future {
        match self {
            Self::Tcp(tcp) => {
                let connecting = tcp.call(address);
                Box::pin(async move { Ok(Io::new(Stream::Plain(connecting.await?))) })
            }
            Self::Tls(tls) => {
                let connecting = tls.call(address);
                Box::pin(async move { Ok(Io::new(Stream::Tls(Box::new(connecting.await?)))) })
            }
        }
    }
}

impl Service<SocketAddr> for Tcp {
    type Response = TcpStream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: SocketAddr) -> Self::Future {
        let keepalive = self.keepalive;
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let socket = SockRef::from(&stream);
            socket.set_tcp_keepalive(
                &TcpKeepalive::new()
                    .with_time(keepalive)
                    .with_interval(keepalive),
            )?;
            // A peer that vanished is noticed after three unanswered keepalives, also mid-write.
            #[cfg(target_os = "linux")]
            socket.set_tcp_user_timeout(Some(keepalive.saturating_mul(3)))?;
            Ok(stream)
        })
    }
}

impl Io {
    fn new(stream: Stream) -> Self {
        let _opened = None;
        Self { stream, _opened }
    }

    /// Is counted as open as long as it is.
    pub(super) fn counted(self, opened: Opened) -> Self {
        Self {
            _opened: Some(opened),
            ..self
        }
    }

    /// Whether TLS chose HTTP/2.
    pub fn is_http2(&self) -> bool {
        matches!(&self.stream, Stream::Tls(tls) if tls.alpn() == Some(b"h2"))
    }

    /// Whom TLS has verified.
    pub fn peer(&self) -> Option<&PeerIdentity> {
        match &self.stream {
            Stream::Plain(_) => None,
            Stream::Tls(tls) => tls.peer(),
        }
    }

    /// Whether the bytes are encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

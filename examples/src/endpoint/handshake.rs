//! From a byte stream to an HTTP connection.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::uri::Scheme;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tower_layer::Layer;
use tower_mtls::PeerIdentity;
use tower_service::Service;

use super::{
    Connection, Connector, Io, Met,
    connection::RequestBody,
    http1::Pool,
    http2::{self, Http2, Http2Parts},
    idle_limit::IdleLimits,
};
use crate::{
    BoxError,
    config::{ClusterProtocol, ReconnectConfig},
};

/// Makes [`Handshake`]s, for requests with the body `B`.
pub struct HandshakeLayer<B> {
    protocol: ClusterProtocol,
    settings: ReconnectConfig,
    _body: PhantomData<fn(B)>,
}

/// Connects, and speaks the first words of HTTP.
pub struct Handshake<B> {
    connector: Connector,
    protocol: ClusterProtocol,
    settings: ReconnectConfig,
    /// Outlives the pools, whose connections it is learnt from.
    idle_limits: Arc<IdleLimits>,
    met: Met,
    _body: PhantomData<fn(B)>,
}

/// Dials further connections to one endpoint.
#[derive(Clone, Debug)]
pub(super) struct Dialer {
    connector: Connector,
    address: SocketAddr,
    timeout: Duration,
    keepalive: Duration,
    met: Met,
}

impl<B> HandshakeLayer<B> {
    /// For one protocol.
    pub fn new(protocol: ClusterProtocol, settings: ReconnectConfig) -> Self {
        Self {
            protocol,
            settings,
            _body: PhantomData,
        }
    }
}

impl<B> Layer<Connector> for HandshakeLayer<B> {
    type Service = Handshake<B>;

    fn layer(&self, connector: Connector) -> Handshake<B> {
        Handshake {
            connector,
            protocol: self.protocol,
            settings: self.settings,
            idle_limits: Arc::new(IdleLimits::new()),
            met: Met::default(),
            _body: PhantomData,
        }
    }
}

impl<B> Handshake<B> {
    /// Tells who is met.
    pub(super) fn met(&self) -> Met {
        self.met.clone()
    }
}

impl<B: RequestBody> Service<SocketAddr> for Handshake<B> {
    type Response = Connection<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Connection<B>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, address: SocketAddr) -> Self::Future {
        let spare = self.connector.clone();
        let mut connector = std::mem::replace(&mut self.connector, spare);
        let (protocol, settings) = (self.protocol, self.settings);
        let (idle_limits, met) = (self.idle_limits.clone(), self.met.clone());
        Box::pin(async move {
            let io = connector.call(address).await?;
            met.note(io.peer());
            let dialer = Dialer {
                connector,
                address,
                timeout: settings.connect_timeout,
                keepalive: settings.keepalive,
                met,
            };
            let http2 = match protocol {
                ClusterProtocol::Http2 => true,
                ClusterProtocol::Auto => io.is_http2(),
                ClusterProtocol::Http1 | ClusterProtocol::Tcp => false,
            };
            if http2 {
                let scheme = if io.is_tls() {
                    Scheme::HTTPS
                } else {
                    Scheme::HTTP
                };
                let first = http2::handshake(io, settings.keepalive).await?;
                let http2 = Http2::new(dialer, first, scheme, &settings);
                return Ok(Connection::Http2(http2));
            }
            let first = http1_handshake(io).await?;
            let pool = Pool::new(dialer, first, &settings, idle_limits);
            Ok(Connection::Http1(pool))
        })
    }
}

impl Dialer {
    /// One more HTTP/1 connection, within the connect timeout.
    pub(super) async fn dial_http1<B: RequestBody>(mut self) -> Result<Http1Parts<B>, BoxError> {
        let timeout = self.timeout;
        let dialled = async { http1_handshake(self.connect().await?).await };
        tokio::time::timeout(timeout, dialled).await?
    }

    /// One more HTTP/2 connection, within the connect timeout.
    pub(super) async fn dial_http2<B: RequestBody>(mut self) -> Result<Http2Parts<B>, BoxError> {
        let (timeout, keepalive) = (self.timeout, self.keepalive);
        let dialled = async { http2::handshake(self.connect().await?, keepalive).await };
        tokio::time::timeout(timeout, dialled).await?
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    async fn connect(&mut self) -> Result<Io, BoxError> {
        std::future::poll_fn(|cx| self.connector.poll_ready(cx)).await?;
        let io = self.connector.call(self.address).await?;
        self.met.note(io.peer());
        Ok(io)
    }
}

/// A connection's two ends, one that sends requests and one that moves bytes, and its peer.
pub(super) type Http1Parts<B> = (
    http1::SendRequest<B>,
    http1::Connection<TokioIo<Io>, B>,
    Option<PeerIdentity>,
);

async fn http1_handshake<B: RequestBody>(io: Io) -> Result<Http1Parts<B>, BoxError> {
    let peer = io.peer().cloned();
    let mut http1 = http1::Builder::new();
    http1.max_buf_size(BUFFER);
    let (sender, connection) = http1.handshake(TokioIo::new(io)).await?;
    Ok((sender, connection, peer))
}

impl<B> Clone for HandshakeLayer<B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for HandshakeLayer<B> {}

impl<B> fmt::Debug for HandshakeLayer<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeLayer")
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

impl<B> fmt::Debug for Handshake<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

/// What a connection may hold of an answer that is not read, and its longest head, in bytes.
const BUFFER: usize = 64 * 1024;

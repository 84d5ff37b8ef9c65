//! From an address to an HTTP connection.

use std::{
    error::Error,
    fmt,
    future::Future,
    marker::PhantomData,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::uri::Scheme;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tower_layer::Layer;
use tower_mtls::PeerIdentity;
use tower_service::Service;

use super::{
    Connection, Connector, Io,
    connection::RequestBody,
    http1::Pool,
    http2::{self, Http2, Http2Parts},
    idle_limit::IdleLimits,
    log::ConnectionLog,
};
use crate::{
    BoxError,
    config::{ClusterProtocol, ReconnectConfig},
};

/// Makes [`Handshake`]s, for requests with the body `B`.
pub struct HandshakeLayer<B> {
    protocol: ClusterProtocol,
    settings: ReconnectConfig,
    log: ConnectionLog,
    _body: PhantomData<fn(B)>,
}

/// Connects, and speaks the first words of HTTP: makes a connection for all requests.
pub struct Handshake<B> {
    connector: Connector,
    layer: HandshakeLayer<B>,
    /// Outlives the pools, whose connections it is learnt from.
    learnt: Arc<IdleLimits>,
}

/// The other end does not speak HTTP, or not the one that is needed.
#[derive(Clone, Copy, Debug)]
pub struct BadHttp(&'static str);

/// Dials one endpoint. How long that may take, and when, is for the layer above.
#[derive(Clone, Debug)]
pub(super) struct Dialer {
    pub(super) connector: Connector,
    pub(super) address: SocketAddr,
    pub(super) settings: ReconnectConfig,
    pub(super) log: ConnectionLog,
}

impl<B> HandshakeLayer<B> {
    /// For one protocol.
    pub fn new(protocol: ClusterProtocol, settings: ReconnectConfig) -> Self {
        Self {
            protocol,
            settings,
            log: ConnectionLog::default(),
            _body: PhantomData,
        }
    }

    /// Connections, and further dials, are noted in `log`.
    pub fn log(self, log: ConnectionLog) -> Self {
        Self { log, ..self }
    }
}

impl<B> Layer<Connector> for HandshakeLayer<B> {
    type Service = Handshake<B>;

    fn layer(&self, connector: Connector) -> Handshake<B> {
        Handshake {
            connector,
            layer: self.clone(),
            learnt: Arc::new(IdleLimits::new()),
        }
    }
}

impl<B: RequestBody> Service<SocketAddr> for Handshake<B> {
    type Response = Connection<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Connection<B>, BoxError>> + Send>>;

    /// Always: what the connector waits for counts as a part of the dial.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: SocketAddr) -> Self::Future {
        let dialer = Dialer {
            connector: self.connector.clone(),
            address,
            settings: self.layer.settings,
            log: self.layer.log.clone(),
        };
        Box::pin(dialer.shared(self.layer.protocol, self.learnt.clone()))
    }
}

impl Dialer {
    /// An HTTP/1 connection.
    pub(super) fn http1<B: RequestBody>(
        &self,
    ) -> impl Future<Output = Result<Http1Parts<B>, BoxError>> + Send + use<B> {
        let dialer = self.clone();
        async move {
            let io = dialer.connect().await?;
            match io.is_http2() {
                true => Err(BadHttp("the endpoint has changed to HTTP/2").into()),
                false => http1_handshake(io).await,
            }
        }
    }

    /// An HTTP/2 connection.
    pub(super) fn http2<B: RequestBody>(
        &self,
    ) -> impl Future<Output = Result<Http2Parts<B>, BoxError>> + Send + use<B> {
        let dialer = self.clone();
        async move { http2::handshake(dialer.connect().await?, dialer.settings.keepalive).await }
    }

    /// A connection for all requests, with further ones made as they are needed: of HTTP/2, or of
    /// what TLS has chosen.
    async fn shared<B: RequestBody>(
        self,
        protocol: ClusterProtocol,
        learnt: Arc<IdleLimits>,
    ) -> Result<Connection<B>, BoxError> {
        let io = self.connect().await?;
        let is_http2 = match protocol {
            ClusterProtocol::Http2 => true,
            ClusterProtocol::Auto => io.is_http2(),
            ClusterProtocol::Http1 | ClusterProtocol::Tcp => false,
        };
        if !is_http2 {
            let first = http1_handshake(io).await?;
            return Ok(Connection::Http1(Pool::with(first, self, learnt)?));
        }
        let scheme = if io.is_tls() {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        };
        let first = http2::handshake(io, self.settings.keepalive).await?;
        Ok(Connection::Http2(Http2::new(self, first, scheme)?))
    }

    async fn connect(&self) -> Result<Io, BoxError> {
        let mut connector = self.connector.clone();
        std::future::poll_fn(|cx| connector.poll_ready(cx)).await?;
        let io = connector.call(self.address).await?;
        let opened = self.log.opened(io.peer());
        Ok(io.counted(opened))
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

impl BadHttp {
    pub(super) const NO_SETTINGS: Self =
        Self("the endpoint ended the connection before its SETTINGS");
}

impl fmt::Display for BadHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for BadHttp {}

impl<B> Clone for HandshakeLayer<B> {
    fn clone(&self) -> Self {
        Self {
            protocol: self.protocol,
            settings: self.settings,
            log: self.log.clone(),
            _body: PhantomData,
        }
    }
}

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
            .field("protocol", &self.layer.protocol)
            .finish_non_exhaustive()
    }
}

/// What a connection may hold of an answer that is not read, and its longest head, in bytes.
const BUFFER: usize = 64 * 1024;

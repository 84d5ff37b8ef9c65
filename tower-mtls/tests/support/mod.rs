//! What the tests share: fixtures that work with every cryptography, and handshakes in memory.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

#[cfg(all(feature = "dev", feature = "spiffe"))]
pub mod agent;
#[cfg(feature = "dev")]
pub mod ca;
#[cfg(all(feature = "dev", feature = "files"))]
pub mod folder;
pub mod task;

use std::{convert::Infallible, io};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_mtls::{
    BoxError, Credentials, Expected, MtlsLayer, MtlsStream, PeerIdentity, Trust, TrustBundle,
    accept::Acceptor,
    error::{HandshakeError, Reason},
};

pub const CA: &[u8] = include_bytes!("fixtures/ca.pem");
pub const WEB: &[u8] = include_bytes!("fixtures/web.pem");
pub const WEB_KEY: &[u8] = include_bytes!("fixtures/web.key");
pub const API: &[u8] = include_bytes!("fixtures/api.pem");
pub const API_KEY: &[u8] = include_bytes!("fixtures/api.key");
pub const WEB_ID: &str = "spiffe://example.org/ns/shop/sa/web";
pub const API_ID: &str = "spiffe://example.org/ns/shop/sa/api";

pub type Stream = MtlsStream<DuplexStream>;

/// What each side got.
pub struct Outcome {
    pub client: Result<Stream, BoxError>,
    pub server: Result<Stream, HandshakeError>,
}

impl Outcome {
    pub fn both(self) -> (Stream, Stream) {
        (self.client.expect("client"), self.server.expect("server"))
    }
}

pub fn web() -> Credentials {
    Credentials::from_pem(WEB, WEB_KEY).expect("fixture")
}

pub fn api() -> Credentials {
    Credentials::from_pem(API, API_KEY).expect("fixture")
}

/// The fixtures' root as a plain PKI.
pub fn plain_trust() -> TrustBundle {
    TrustBundle::from_pem(CA).expect("fixture")
}

/// The fixtures' root as the bundle of `example.org`.
pub fn trust() -> TrustBundle {
    plain_trust().with_trust_domain("example.org".parse().expect("trust domain"))
}

pub fn layer(trust: impl Into<Trust>, credentials: Credentials, expected: Expected) -> MtlsLayer {
    MtlsLayer::builder(trust)
        .credentials(credentials)
        .expect(expected)
        .build()
        .expect("settings")
}

pub fn acceptor(credentials: Credentials, clients: impl Into<Trust>) -> Acceptor {
    Acceptor::builder(credentials)
        .require_client(clients)
        .build()
        .expect("settings")
}

/// A connector that gives the connection that it is called with.
pub fn in_memory()
-> impl Service<DuplexStream, Response = DuplexStream, Error = Infallible, Future: Send> + Clone {
    service_fn(|io: DuplexStream| std::future::ready(Ok(io)))
}

pub async fn connect(layer: &MtlsLayer, io: DuplexStream) -> Result<Stream, BoxError> {
    layer.layer(in_memory()).oneshot(io).await
}

pub async fn accept(acceptor: &Acceptor, io: DuplexStream) -> Result<Stream, HandshakeError> {
    acceptor.clone().oneshot(io).await
}

pub async fn handshake(layer: &MtlsLayer, acceptor: &Acceptor) -> Outcome {
    let (near, far) = duplex(64 * 1024);
    let (client, server) = tokio::join!(connect(layer, near), accept(acceptor, far));
    Outcome { client, server }
}

/// A good client gets through.
pub async fn succeeds(acceptor: &Acceptor) {
    let layer = layer(trust(), web(), Expected::TrustDomain);
    handshake(&layer, acceptor).await.both();
}

/// The verified peers that the client and the server of a connection between the fixtures see.
pub async fn fixture_peers() -> (PeerIdentity, PeerIdentity) {
    let layer = layer(trust(), web(), Expected::TrustDomain);
    let (client, server) = handshake(&layer, &acceptor(api(), trust())).await.both();
    let peer = |stream: &Stream| stream.peer().cloned().expect("peer");
    (peer(&client), peer(&server))
}

/// The handshake error inside a connector's error.
pub fn handshake_error(error: &BoxError) -> &HandshakeError {
    error.downcast_ref().expect("a HandshakeError")
}

/// The refusal that a client meets when it first reads.
pub async fn first_read(stream: &mut Stream) -> (io::ErrorKind, Reason) {
    let error = stream.read_u8().await.expect_err("refused");
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<HandshakeError>());
    (error.kind(), inner.expect("a HandshakeError").reason())
}

/// A word goes there and back.
pub async fn ping_pong(client: &mut Stream, server: &mut Stream) {
    let mut word = [0; 4];
    client.write_all(b"ping").await.expect("write");
    client.flush().await.expect("flush");
    server.read_exact(&mut word).await.expect("read");
    assert_eq!(&word, b"ping");
    server.write_all(b"pong").await.expect("write");
    server.flush().await.expect("flush");
    client.read_exact(&mut word).await.expect("read");
    assert_eq!(&word, b"pong");
}

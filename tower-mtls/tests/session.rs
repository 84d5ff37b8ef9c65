//! The TLS session as the other side sees it: every handshake is a full one, in TLS 1.3.
//!
//! The other side is the TLS library itself, set up to resume whatever it can.

#![cfg(any(feature = "aws-lc-rs", feature = "ring"))]
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, ServerConfig,
    client::{ClientSessionMemoryCache, Resumption},
    crypto::CryptoProvider,
    server::ServerSessionMemoryCache,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use support::{API, API_KEY, CA, WEB, WEB_KEY, api, layer, plain_trust, trust, web};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tower::ServiceExt;
use tower_mtls::{Expected, accept::Acceptor};

#[tokio::test]
async fn the_acceptor_gives_no_ticket_and_resumes_nothing() {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots())
        .with_client_auth_cert(chain(WEB), key(WEB_KEY))
        .unwrap();
    config.resumption = Resumption::store(Arc::new(ClientSessionMemoryCache::new(32)));
    let connector = TlsConnector::from(Arc::new(config));
    let acceptor = Acceptor::builder(api())
        .require_client(trust())
        .build()
        .unwrap();

    for _ in 0..3 {
        let (near, far) = duplex(1 << 16);
        let name = ServerName::try_from("api.example.org").unwrap();
        let client = async {
            let mut stream = connector.connect(name, near).await.unwrap();
            stream.write_all(b"x").await.unwrap();
            // Tickets travel behind the handshake: read until the end to see them all.
            stream.read_to_end(&mut Vec::new()).await.unwrap();
            stream
        };
        let server = async {
            let mut stream = acceptor.clone().oneshot(far).await.unwrap();
            stream.read_u8().await.unwrap();
            stream.shutdown().await.unwrap();
            stream
        };
        let (client, server) = tokio::join!(client, server);
        let (_, session) = client.get_ref();
        assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(session.tls13_tickets_received(), 0);
        assert!(server.peer().is_some());
    }
}

#[tokio::test]
async fn the_client_resumes_nothing() {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain(API), key(API_KEY))
        .unwrap();
    config.session_storage = ServerSessionMemoryCache::new(32);
    config.send_tls13_tickets = 4;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let name = "api.example.org".parse().unwrap();
    let layer = layer(plain_trust(), web(), Expected::ServerName(name));

    for _ in 0..3 {
        let (near, far) = duplex(1 << 16);
        let client = async {
            let mut stream = support::connect(&layer, near).await.unwrap();
            stream.write_all(b"x").await.unwrap();
            stream.read_to_end(&mut Vec::new()).await.unwrap();
        };
        let server = async {
            let mut stream = acceptor.accept(far).await.unwrap();
            stream.read_u8().await.unwrap();
            stream.shutdown().await.unwrap();
            stream
        };
        let ((), server) = tokio::join!(client, server);
        let (_, session) = server.get_ref();
        assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(session.server_name(), Some("api.example.org"));
    }
}

#[tokio::test]
async fn the_client_names_no_server_that_it_knows_by_its_spiffe_id() {
    let (client, server) = against_raw_server(Expected::TrustDomain).await;
    assert_eq!(client.peer().unwrap().to_string(), support::API_ID);
    assert_eq!(server.get_ref().1.server_name(), None);
}

#[cfg(feature = "aws-lc-rs")]
#[tokio::test]
async fn the_key_exchange_is_post_quantum_with_aws_lc_rs() {
    let (_, server) = against_raw_server(Expected::TrustDomain).await;
    let (_, session) = server.get_ref();
    let group = session.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    assert_eq!(
        session.handshake_kind(),
        Some(HandshakeKind::Full),
        "its first choice"
    );
    assert_eq!(
        session.protocol_version(),
        Some(rustls::ProtocolVersion::TLSv1_3)
    );
}

#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
#[tokio::test]
async fn the_key_exchange_is_elliptic_with_ring_alone() {
    let (_, server) = against_raw_server(Expected::TrustDomain).await;
    let (_, session) = server.get_ref();
    let group = session.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519);
}

async fn against_raw_server(
    expected: Expected,
) -> (
    support::Stream,
    tokio_rustls::server::TlsStream<tokio::io::DuplexStream>,
) {
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain(API), key(API_KEY))
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let layer = layer(trust(), web(), expected);
    let (near, far) = duplex(1 << 16);
    let (client, server) = tokio::join!(support::connect(&layer, near), acceptor.accept(far));
    (client.unwrap(), server.unwrap())
}

fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    return Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(not(feature = "aws-lc-rs"))]
    return Arc::new(rustls::crypto::ring::default_provider());
}

fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(CA).unwrap())
        .unwrap();
    roots
}

fn chain(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    vec![CertificateDer::from_pem_slice(pem).unwrap()]
}

fn key(pem: &[u8]) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(pem).unwrap()
}

//! Versions of TLS and cryptographies: chosen by a setting, never by the process.

#![allow(clippy::unwrap_used)]
#![cfg(any(feature = "aws-lc-rs", feature = "ring"))]

mod support;

use std::{sync::Arc, time::Duration};

use rustls::{
    ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, ServerConfig,
    SupportedProtocolVersion,
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use support::{API, API_KEY, accept, api, connect, handshake, ping_pong, trust, web};
use tokio::io::{DuplexStream, duplex};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tower_mtls::{
    Cryptography, Expected, MtlsBuilder, MtlsLayer,
    accept::{Acceptor, AcceptorBuilder},
    error::Reason,
};

#[tokio::test]
async fn tls_1_2_is_spoken_only_where_it_is_allowed() {
    for (allowed, good) in [(false, false), (true, true)] {
        let layer = client().allow_tls12(allowed).build().unwrap();
        let (ours, theirs) = against_server_of(&layer, &[&TLS12]).await;
        assert_eq!(theirs.is_some(), good);
        match ours {
            Ok(stream) => {
                assert!(good);
                // Verified in this version too.
                assert_eq!(stream.peer().unwrap().to_string(), support::API_ID);
                let version = theirs.unwrap().get_ref().1.protocol_version();
                assert_eq!(version, Some(ProtocolVersion::TLSv1_2));
            }
            Err(reason) => {
                assert!(!good);
                assert_eq!(reason, Reason::Protocol);
            }
        }
    }
}

#[tokio::test]
async fn tls_1_3_comes_first_where_both_are_allowed() {
    let layer = client().allow_tls12(true).build().unwrap();
    let (_, theirs) = against_server_of(&layer, &[&TLS12, &TLS13]).await;
    let version = theirs.unwrap().get_ref().1.protocol_version();
    assert_eq!(version, Some(ProtocolVersion::TLSv1_3));
}

#[tokio::test]
async fn both_sides_verify_each_other_in_tls_1_2_too() {
    for (allowed, good) in [(true, true), (false, false)] {
        let acceptor = server().allow_tls12(allowed).build().unwrap();
        let (near, far) = duplex(1 << 16);
        let connector = tokio_rustls::TlsConnector::from(old_client());
        let name = "api.example.org".try_into().unwrap();
        let (theirs, ours) = tokio::join!(connector.connect(name, near), accept(&acceptor, far));
        assert_eq!(theirs.is_ok(), good);
        match ours {
            Ok(stream) => assert_eq!(stream.peer().unwrap().to_string(), support::WEB_ID),
            Err(error) => assert_eq!(error.reason(), Reason::Protocol),
        }
    }
}

#[tokio::test]
async fn nothing_is_resumed_in_tls_1_2_either() {
    let (layer, acceptor) = (
        client().allow_tls12(true).build().unwrap(),
        server().allow_tls12(true).build().unwrap(),
    );
    // The other side is the TLS library with all that it resumes by default.
    let theirs = tokio_rustls::TlsConnector::from(old_client());
    let server = TlsAcceptor::from(server_of(&[&TLS12]));
    for _ in 0..3 {
        let (near, far) = duplex(1 << 16);
        let name = "api.example.org".try_into().unwrap();
        let (theirs, ours) = tokio::join!(theirs.connect(name, near), accept(&acceptor, far));
        let kind = theirs.unwrap().get_ref().1.handshake_kind();
        assert_eq!(kind, Some(HandshakeKind::Full));
        assert!(ours.unwrap().peer().is_some());

        let (near, far) = duplex(1 << 16);
        let (ours, theirs) = tokio::join!(connect(&layer, near), server.accept(far));
        let kind = theirs.unwrap().get_ref().1.handshake_kind();
        assert_eq!(kind, Some(HandshakeKind::Full));
        assert!(ours.unwrap().peer().is_some());
    }
}

#[tokio::test]
async fn each_cryptography_works_with_each_other() {
    for ours in Cryptography::AVAILABLE {
        for theirs in Cryptography::AVAILABLE {
            let layer = client().cryptography(*ours).build().unwrap();
            let acceptor = server().cryptography(*theirs).build().unwrap();
            let (mut client, mut server) = handshake(&layer, &acceptor).await.both();
            ping_pong(&mut client, &mut server).await;
            assert_eq!(server.peer().unwrap().to_string(), support::WEB_ID);
        }
    }
}

#[tokio::test]
async fn the_cryptography_that_is_chosen_is_the_one_that_is_used() {
    for cryptography in Cryptography::AVAILABLE {
        let layer = client().cryptography(*cryptography).build().unwrap();
        let (_, theirs) = against_server_of(&layer, &[&TLS13]).await;
        let theirs = theirs.unwrap();
        let group = theirs.get_ref().1.negotiated_key_exchange_group();
        let post_quantum = group.unwrap().name() == rustls::NamedGroup::X25519MLKEM768;
        let both_can = Cryptography::AVAILABLE[0] == Cryptography::AwsLcRs;
        assert_eq!(
            post_quantum,
            both_can && *cryptography == Cryptography::AwsLcRs
        );
    }
}

#[test]
fn a_cryptography_that_is_not_compiled_in_is_an_error() {
    for cryptography in [Cryptography::AwsLcRs, Cryptography::Ring] {
        let available = Cryptography::AVAILABLE.contains(&cryptography);
        let client = client().cryptography(cryptography).build();
        let server = server().cryptography(cryptography).build();
        for error in [client.err(), server.err()] {
            match error {
                None => assert!(available),
                Some(error) => {
                    assert!(!available);
                    assert_eq!(error.field(), "cryptography");
                    assert_eq!(error.value(), cryptography.to_string());
                }
            }
        }
        if !available {
            assert!(!cryptography.is_fips());
        }
    }
}

#[test]
fn the_default_of_the_process_is_neither_read_nor_set() {
    let _ = client().build().unwrap();
    let _ = server().build().unwrap();
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}

#[test]
fn the_clock_s_skew_has_bounds() {
    for (skew, ok) in [
        (Duration::ZERO, true),
        (Duration::from_secs(600), true),
        (Duration::from_millis(600_001), false),
        (Duration::MAX, false),
    ] {
        let client = client().clock_skew(skew).build();
        let server = server().clock_skew(skew).build();
        for error in [client.err(), server.err()] {
            assert_eq!(error.is_none(), ok, "{skew:?}");
            assert!(error.is_none_or(|error| error.field() == "clock_skew"));
        }
    }
}

/// Our client against the TLS library's server of these versions, which does not ask for a certificate.
async fn against_server_of(
    layer: &MtlsLayer,
    versions: &[&'static SupportedProtocolVersion],
) -> (
    Result<support::Stream, Reason>,
    Option<TlsStream<DuplexStream>>,
) {
    let acceptor = TlsAcceptor::from(server_of(versions));
    let (near, far) = duplex(1 << 16);
    let (ours, theirs) = tokio::join!(connect(layer, near), acceptor.accept(far));
    let ours = ours.map_err(|error| support::handshake_error(&error).reason());
    (ours, theirs.ok())
}

/// The TLS library's server, which does not ask for a certificate.
fn server_of(versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(API).unwrap()],
            PrivateKeyDer::from_pem_slice(API_KEY).unwrap(),
        );
    Arc::new(config.unwrap())
}

/// The TLS library's client of TLS 1.2.
fn old_client() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(support::CA).unwrap();
    roots.add(root).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(support::WEB).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(support::WEB_KEY).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key);
    Arc::new(config.unwrap())
}

fn client() -> MtlsBuilder {
    MtlsLayer::builder(trust())
        .credentials(web())
        .expect(Expected::TrustDomain)
}

fn server() -> AcceptorBuilder {
    Acceptor::builder(api()).require_client(trust())
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    return Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(not(feature = "aws-lc-rs"))]
    return Arc::new(rustls::crypto::ring::default_provider());
}

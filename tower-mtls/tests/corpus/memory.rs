//! The chains presented by rustls, in memory, just as they are.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use tokio::io::{AsyncReadExt, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tower_mtls::dev::Authority;

use crate::{
    cases::{self, Role},
    ours::{self, Outcome, Run, alert_in},
    setup::{Chain, Keys, Setup},
};

#[tokio::test]
async fn every_verdict_is_that_of_the_rule() {
    let (keys, cases) = (Keys::generate(), cases::all());
    let own = Authority::new("example.org".parse().unwrap()).unwrap();
    let mut wrong = Vec::new();
    let runs = Run::of(&cases);
    for run in &runs {
        let chain = Setup::of(run.case, run.mode, &keys).sign();
        let (outcome, alert) = match run.role {
            Role::Server => serve(&chain).await,
            Role::Client => call(&chain, &own).await,
        };
        wrong.extend(run.judge(&outcome, alert).err());
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        runs.len(),
        wrong.join("\n")
    );
}

/// Our client meets a server with this chain: what it says, and the alert that the server gets.
async fn serve(chain: &Chain) -> (Outcome, Option<u8>) {
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(resolver(chain));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (near, far) = duplex(1 << 16);
    let ((outcome, _stream), theirs) =
        tokio::join!(ours::connect(chain, near), acceptor.accept(far));
    (outcome, theirs.err().and_then(|error| alert_in(&error)))
}

/// Our server meets a client with this chain.
async fn call(chain: &Chain, own: &Authority) -> (Outcome, Option<u8>) {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous))
        .with_client_cert_resolver(resolver(chain));
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    let (near, far) = duplex(1 << 16);
    let theirs = async {
        // In TLS 1.3 the client learns of its refusal when it reads.
        let mut stream = connector.connect(name, near).await?;
        stream.read_u8().await
    };
    let ours = async {
        // The stream is closed at once, so that the client reads its end.
        ours::accept(chain, own, far).await.0
    };
    let (outcome, theirs) = tokio::join!(ours, theirs);
    (outcome, theirs.err().and_then(|error| alert_in(&error)))
}

/// Presents the chain even if nobody should. Where its key cannot sign, some other one does, which nobody asks for
/// once the chain is refused.
fn resolver(chain: &Chain) -> Arc<SingleCertAndKey> {
    let load = |pem: &str| {
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        provider().key_provider.load_private_key(key).ok()
    };
    let spare = || load(&rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let key = load(&chain.key).unwrap_or_else(spare);
    let certified = CertifiedKey::new(chain.certificates.clone(), key);
    Arc::new(SingleCertAndKey::from(certified))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Takes whatever server there is: it is not the one that is judged.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

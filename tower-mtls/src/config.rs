//! One side's settings as the TLS library takes them: a snapshot per handshake, so that a later one
//! may differ.

use std::{sync::Arc, time::Duration};

use rustls::{
    ClientConfig, ServerConfig, client::Resumption, crypto::CryptoProvider,
    server::NoServerSessionStorage, sign::SingleCertAndKey, version::TLS13,
};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use webpki::KeyUsage;

use crate::{
    Credentials, MtlsStream, TrustBundle,
    connections::{Connections, Judge},
    error::{HandshakeError, InvalidSetting, Reason},
    live::Live,
    provider::provider,
    source::Source,
    stream::Peer,
    verify::{Accepted, PeerVerifier},
};

/// Where a connection is taken up, and with which trust it was verified.
#[derive(Clone, Copy)]
pub(crate) struct Open<'a> {
    pub(crate) connections: &'a Arc<Connections>,
    pub(crate) trust_serial: u64,
}

/// What one handshake of a client needs.
#[derive(Clone)]
pub(crate) struct ClientTls {
    connector: TlsConnector,
    server_name: ServerName<'static>,
    verifier: Arc<PeerVerifier>,
}

/// What one handshake of a server needs.
#[derive(Clone)]
pub(crate) struct ServerTls {
    acceptor: TlsAcceptor,
    verifier: Option<Arc<PeerVerifier>>,
}

impl ClientTls {
    pub(crate) fn new(
        trust: TrustBundle,
        accepted: Accepted,
        credentials: Option<&Credentials>,
        alpn: Vec<Vec<u8>>,
    ) -> Result<Self, InvalidSetting> {
        // Without a name to expect there is none to tell the server either.
        let name = match &accepted {
            Accepted::Named(_, name) => Some(name.clone()),
            Accepted::Any | Accepted::OneOf(_) => None,
        };
        let provider = required_provider()?;
        let algorithms = provider.signature_verification_algorithms;
        let verifier = Arc::new(PeerVerifier::new(trust, accepted, algorithms));

        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone());
        let mut config = match credentials {
            Some(credentials) => builder.with_client_cert_resolver(resolver(credentials)),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn;
        config.enable_sni = name.is_some();
        // A resumed session skips the verification of the peer.
        config.resumption = Resumption::disabled();

        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            server_name: name.unwrap_or_else(|| ServerName::IpAddress(NO_NAME.into())),
            verifier,
        })
    }

    pub(crate) fn connect<IO>(&self, io: IO) -> tokio_rustls::Connect<IO>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        self.connector.connect(self.server_name.clone(), io)
    }

    pub(crate) fn finish<IO>(
        &self,
        stream: tokio_rustls::client::TlsStream<IO>,
        open: Open<'_>,
    ) -> Result<MtlsStream<IO>, HandshakeError> {
        finish(stream.into(), Some(&self.verifier), open)
    }

    /// Whether a handshake now would accept this server.
    pub(crate) fn judge(&self, chain: &[CertificateDer<'static>]) -> Result<(), HandshakeError> {
        self.verifier.judge(chain, KeyUsage::server_auth())
    }
}

impl ServerTls {
    pub(crate) fn new(
        credentials: &Credentials,
        clients: Option<TrustBundle>,
        alpn: Vec<Vec<u8>>,
    ) -> Result<Self, InvalidSetting> {
        let provider = required_provider()?;
        let algorithms = provider.signature_verification_algorithms;
        let verifier =
            clients.map(|trust| Arc::new(PeerVerifier::new(trust, Accepted::Any, algorithms)));

        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?;
        let builder = match &verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(resolver(credentials));
        config.alpn_protocols = alpn;
        // A resumed session skips the verification of the peer.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;

        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            verifier,
        })
    }

    pub(crate) fn accept<IO>(&self, io: IO) -> tokio_rustls::Accept<IO>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        self.acceptor.accept(io)
    }

    pub(crate) fn finish<IO>(
        &self,
        stream: tokio_rustls::server::TlsStream<IO>,
        open: Open<'_>,
    ) -> Result<MtlsStream<IO>, HandshakeError> {
        finish(stream.into(), self.verifier.as_deref(), open)
    }

    /// Whether a handshake now would accept this client.
    pub(crate) fn judge(&self, chain: &[CertificateDer<'static>]) -> Result<(), HandshakeError> {
        match &self.verifier {
            Some(verifier) => verifier.judge(chain, KeyUsage::client_auth()),
            None => Ok(()),
        }
    }
}

impl Judge for Live<ClientTls> {
    fn source(&self) -> &Source {
        self.source()
    }

    fn trust_serial(&self) -> u64 {
        self.trust_serial()
    }

    fn leeway(&self) -> Duration {
        Duration::ZERO
    }

    fn judge(&self, chain: &[CertificateDer<'static>]) -> Result<(), HandshakeError> {
        self.load()?.judge(chain)
    }
}

impl Judge for Live<ServerTls> {
    fn source(&self) -> &Source {
        self.source()
    }

    fn trust_serial(&self) -> u64 {
        self.trust_serial()
    }

    fn leeway(&self) -> Duration {
        Duration::ZERO
    }

    fn judge(&self, chain: &[CertificateDer<'static>]) -> Result<(), HandshakeError> {
        self.load()?.judge(chain)
    }
}

/// Rejects ALPN names that TLS cannot carry.
pub(crate) fn check_alpn(names: &[Vec<u8>]) -> Result<(), InvalidSetting> {
    let bad = |name: &&Vec<u8>| name.is_empty() || name.len() > MAX_ALPN_NAME;
    if let Some(name) = names.iter().find(bad) {
        let value = format!("a name of {} bytes", name.len());
        return Err(InvalidSetting::new(
            "alpn",
            value,
            "names of 1 to 255 bytes",
        ));
    }
    match names.len() > MAX_ALPN_NAMES {
        true => {
            let value = format!("{} names", names.len());
            Err(InvalidSetting::new("alpn", value, "at most 64 names"))
        }
        false => Ok(()),
    }
}

/// Reads the peer off a finished handshake; fails closed where one was required.
fn finish<IO>(
    stream: TlsStream<IO>,
    verifier: Option<&PeerVerifier>,
    open: Open<'_>,
) -> Result<MtlsStream<IO>, HandshakeError> {
    let Some(verifier) = verifier else {
        return Ok(MtlsStream::new(stream, None));
    };
    let (_, session) = stream.get_ref();
    let chain = session.peer_certificates().unwrap_or_default();
    let leaf = chain.first().ok_or_else(|| {
        HandshakeError::new(Reason::NoCertificate, "the peer presented no certificate")
    })?;
    let peer = verifier
        .identify(leaf)
        .map_err(|rejection| rejection.to_error())?;
    let connections = open.connections;
    let validity = connections.open(chain, peer.not_after(), open.trust_serial);
    let peer = Peer {
        identity: peer.with_validity(validity),
        _connections: connections.clone(),
    };
    Ok(MtlsStream::new(stream, Some(peer)))
}

fn required_provider() -> Result<Arc<CryptoProvider>, InvalidSetting> {
    provider().ok_or_else(|| {
        InvalidSetting::new(
            "cargo features",
            "without cryptography",
            "tower-mtls with feature `aws-lc-rs`, `ring` or both",
        )
    })
}

fn resolver(credentials: &Credentials) -> Arc<SingleCertAndKey> {
    Arc::new(SingleCertAndKey::from(credentials.certified_key()))
}

fn unusable(error: rustls::Error) -> InvalidSetting {
    InvalidSetting::new(
        "cargo features",
        "a cryptography without TLS 1.3",
        "tower-mtls with feature `aws-lc-rs`, `ring` or both",
    )
    .with_source(error)
}

const NO_NAME: std::net::Ipv4Addr = std::net::Ipv4Addr::UNSPECIFIED;
const MAX_ALPN_NAME: usize = 255;
const MAX_ALPN_NAMES: usize = 64;

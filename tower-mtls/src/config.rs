//! One side's settings as the TLS library takes them: a snapshot per handshake, so that a later one
//! may differ.

use std::{sync::Arc, time::Duration};

use rustls::{
    ClientConfig, ServerConfig, SupportedProtocolVersion,
    client::Resumption,
    crypto::CryptoProvider,
    server::NoServerSessionStorage,
    sign::SingleCertAndKey,
    version::{TLS12, TLS13},
};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{StartHandshake, TlsConnector};

use crate::{
    Credentials, Cryptography, Trust,
    connections::{Register, Verifies},
    error::InvalidSetting,
    handshake::{Accepting, Handshake, Peer},
    provider::chosen,
    verify::{Accepted, PeerVerifier, Role},
};

/// What both sides can set, and a rotation does not change.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsSettings {
    pub(crate) alpn: Vec<Vec<u8>>,
    pub(crate) clock_skew: Duration,
    pub(crate) allow_tls12: bool,
    pub(crate) cryptography: Option<Cryptography>,
}

/// What one handshake of a client needs.
#[derive(Clone)]
pub(crate) struct ClientTls {
    connector: TlsConnector,
    verifier: Arc<PeerVerifier>,
    server_name: ServerName<'static>,
}

/// What one handshake of a server needs.
#[derive(Clone)]
pub(crate) struct ServerTls {
    config: Arc<ServerConfig>,
    verifier: Option<Arc<PeerVerifier>>,
    peer: Peer,
}

/// Whom a server lets in.
#[derive(Clone, Debug)]
pub(crate) enum Clients {
    Anonymous,
    Verified { trust: Trust, required: bool },
}

impl TlsSettings {
    /// Rejects what TLS cannot carry and what would let too much in.
    pub(crate) fn check(&self) -> Result<(), InvalidSetting> {
        check_alpn(&self.alpn)?;
        match self.clock_skew > MAX_CLOCK_SKEW {
            true => {
                let value = format!("{:?}", self.clock_skew);
                Err(InvalidSetting::new("clock_skew", value, "0 to 10 min"))
            }
            false => Ok(()),
        }
    }

    fn verifier(
        &self,
        trust: Trust,
        accepted: Accepted,
        role: Role,
        provider: &CryptoProvider,
    ) -> Result<Arc<PeerVerifier>, InvalidSetting> {
        let verifier = PeerVerifier::new(trust, accepted, role, self.clock_skew, provider);
        verifier.map(Arc::new).ok_or_else(|| {
            let value = "a cryptography without TLS 1.3 and SHA-256";
            InvalidSetting::new("cryptography", value, ALLOWED_CRYPTOGRAPHY)
        })
    }

    fn versions(&self) -> &'static [&'static SupportedProtocolVersion] {
        match self.allow_tls12 {
            true => BOTH_VERSIONS,
            false => ONLY_TLS13,
        }
    }
}

impl ClientTls {
    pub(crate) fn new(
        trust: Trust,
        accepted: Accepted,
        credentials: Option<&Credentials>,
        settings: &TlsSettings,
    ) -> Result<Self, InvalidSetting> {
        // Without a name to expect there is none to tell the server either.
        let name = match &accepted {
            Accepted::Named(_, name) => Some(name.clone()),
            _ => None,
        };
        let provider = chosen(settings.cryptography)?;
        let verifier = settings.verifier(trust, accepted, Role::Server, &provider)?;

        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(settings.versions())
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone());
        let mut config = match credentials {
            Some(credentials) => builder.with_client_cert_resolver(resolver(credentials)),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = settings.alpn.clone();
        config.enable_sni = name.is_some();
        // A resumed session skips the verification of the peer.
        config.resumption = Resumption::disabled();

        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            verifier,
            server_name: name.unwrap_or_else(|| ServerName::IpAddress(NO_NAME.into())),
        })
    }

    pub(crate) fn connect<IO>(
        &self,
        io: IO,
        register: Register,
    ) -> Handshake<tokio_rustls::Connect<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = self.connector.connect(self.server_name.clone(), io);
        Handshake::new(handshake, Peer::Required, register)
    }
}

impl ServerTls {
    pub(crate) fn new(
        credentials: &Credentials,
        clients: Clients,
        settings: &TlsSettings,
    ) -> Result<Self, InvalidSetting> {
        let provider = chosen(settings.cryptography)?;
        let (verifier, peer) = match clients {
            Clients::Anonymous => (None, Peer::Absent),
            Clients::Verified { trust, required } => {
                let role = Role::Client { required };
                let verifier = settings.verifier(trust, Accepted::Any, role, &provider)?;
                let peer = match required {
                    true => Peer::Required,
                    false => Peer::Optional,
                };
                (Some(verifier), peer)
            }
        };

        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(settings.versions())
            .map_err(unusable)?;
        let builder = match &verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(resolver(credentials));
        config.alpn_protocols = settings.alpn.clone();
        // A resumed session skips the verification of the peer.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;

        Ok(Self {
            config: Arc::new(config),
            verifier,
            peer,
        })
    }

    pub(crate) fn accept<IO>(
        &self,
        start: StartHandshake<IO>,
        register: Register,
    ) -> Handshake<Accepting<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = Accepting::new(start.into_stream(self.config.clone()));
        Handshake::new(handshake, self.peer, register)
    }
}

impl Verifies for ClientTls {
    fn verifier(&self) -> Option<&PeerVerifier> {
        Some(&self.verifier)
    }
}

impl Verifies for ServerTls {
    fn verifier(&self) -> Option<&PeerVerifier> {
        self.verifier.as_deref()
    }
}

fn check_alpn(names: &[Vec<u8>]) -> Result<(), InvalidSetting> {
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

fn resolver(credentials: &Credentials) -> Arc<SingleCertAndKey> {
    Arc::new(SingleCertAndKey::from(credentials.certified_key()))
}

fn unusable(error: rustls::Error) -> InvalidSetting {
    let value = "a cryptography without TLS 1.3";
    InvalidSetting::new("cryptography", value, ALLOWED_CRYPTOGRAPHY).with_source(error)
}

const ONLY_TLS13: &[&SupportedProtocolVersion] = &[&TLS13];
const BOTH_VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
const ALLOWED_CRYPTOGRAPHY: &str = "the one of feature `aws-lc-rs` or `ring`";
const NO_NAME: std::net::Ipv4Addr = std::net::Ipv4Addr::UNSPECIFIED;
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(600);
const MAX_ALPN_NAME: usize = 255;
const MAX_ALPN_NAMES: usize = 64;

//! `[listener.tls]`: who we are to clients, and who of them may come in.

mod file;

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use tower_mtls::authorize::AllowList;

pub(super) use self::file::TlsFile;
use super::{
    identity::Identity,
    tls::{CertificateFiles, CredentialFiles, TrustFiles},
};

/// `[listener.tls]`, or what `[identity]` makes of it.
#[derive(Clone, Debug, Serialize)]
pub struct ListenerTls {
    /// Who we are.
    #[serde(flatten)]
    pub certificate: CertificateFiles,
    /// Who may come in; `None`: no client certificate is asked for.
    #[serde(flatten)]
    pub clients: Option<Clients>,
    /// From accept to the end of the handshake.
    pub handshake_timeout: Duration,
    /// Handshakes in progress at once.
    pub max_handshakes: usize,
    /// Connections at once that wait for their client's first message, or for a handshake's place.
    pub max_waiting: usize,
    /// How long a handshake keeps its place when another connection wants it.
    pub patience: Duration,
    /// How far this host's clock may be off.
    pub clock_skew: Duration,
    /// Whether TLS 1.2 is spoken too.
    pub allow_tls12: bool,
    /// Whether a connection ends when its client would not be accepted any more.
    pub end_connections: bool,
}

/// Who may send requests to a listener.
#[derive(Clone, Debug)]
pub struct Clients {
    /// Who issues their certificates.
    pub trust: TrustFiles,
    /// Whether there is no connection without a certificate.
    pub certificate: ClientCertificate,
    /// Whether those without one may send requests.
    pub allow_anonymous: bool,
    /// Which of the others are let in.
    pub allow: AllowList,
    /// The same as written; empty: any verified identity.
    pub allowed: Vec<String>,
    /// Whether those who are not are only counted.
    pub audit: bool,
    /// Whether endpoints are told of the certificate.
    pub forward: bool,
}

/// Whether a client needs a certificate to connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificate {
    /// It does.
    #[default]
    Required,
    /// It is asked for one.
    Optional,
}

impl ListenerTls {
    /// Mutual TLS with every workload of our own trust domain.
    pub(super) fn from_identity(identity: &Identity) -> Self {
        Self {
            certificate: identity.certificate.clone(),
            clients: Some(Clients {
                trust: identity.trust.clone(),
                certificate: ClientCertificate::default(),
                allow_anonymous: false,
                allow: AllowList::any_verified(),
                allowed: Vec::new(),
                audit: false,
                forward: false,
            }),
            handshake_timeout: default_handshake_timeout(),
            max_handshakes: default_max_handshakes(),
            max_waiting: default_max_waiting(),
            patience: default_patience(),
            clock_skew: Duration::ZERO,
            allow_tls12: false,
            end_connections: true,
        }
    }

    /// What its handshakes are made of.
    pub(crate) fn files(&self) -> CredentialFiles {
        CredentialFiles {
            certificate: Some(self.certificate.clone()),
            trust: self.clients.as_ref().map(|clients| clients.trust.clone()),
        }
    }

    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let clients = self.clients.iter_mut();
        let trust = clients.flat_map(|clients| clients.trust.paths());
        self.certificate.paths().chain(trust)
    }
}

fn default_handshake_timeout() -> Duration {
    Duration::from_secs(10)
}

fn default_max_handshakes() -> usize {
    256
}

fn default_max_waiting() -> usize {
    4096
}

fn default_patience() -> Duration {
    Duration::from_secs(1)
}

//! What listeners and clusters share of TLS: our own certificate, and whom we trust.

use std::{fmt, marker::PhantomData, path::PathBuf};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};
use tower_mtls::TrustDomain;

pub(super) use self::trust_keys::{Federated, Files, TrustKeys};
use super::{
    Span,
    error::{At, Problem},
    identity::Identity,
    show,
};

mod trust_keys;

/// Our own certificate and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    #[serde(serialize_with = "show::path")]
    pub certificate: PathBuf,
    /// The leaf's key.
    #[serde(skip)]
    pub private_key: PathBuf,
}

/// Whose certificates we accept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrustFiles {
    /// The roots, PEM.
    pub bundle: PathBuf,
    /// Present: SPIFFE rules apply to the peer.
    pub trust_domain: Option<TrustDomain>,
    /// The roots of other trust domains, in the order of their names.
    pub federated: Vec<(TrustDomain, PathBuf)>,
    /// Revocation lists, PEM or DER.
    pub crl: Vec<PathBuf>,
    /// What becomes of a certificate that no list tells about, where there are lists.
    pub crl_unknown_status: CrlUnknown,
}

/// What becomes of a certificate that no current list of its issuer tells about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CrlUnknown {
    /// It is refused.
    #[default]
    Refuse,
    /// It is accepted.
    Accept,
}

/// All files that one handshake is made of: they are watched together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CredentialFiles {
    /// Who we are; `None`: nobody that the peer asks for.
    pub certificate: Option<CertificateFiles>,
    /// Who vouches for peers; `None`: they are not asked.
    pub trust: Option<TrustFiles>,
}

/// `tls = "off"`, or a table.
pub(super) enum Switch<T> {
    Off,
    On(T),
}

impl CertificateFiles {
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.certificate, &mut self.private_key].into_iter()
    }
}

impl TrustFiles {
    pub(super) fn new(bundle: PathBuf, trust_domain: Option<TrustDomain>) -> Self {
        Self {
            bundle,
            trust_domain,
            federated: Vec::new(),
            crl: Vec::new(),
            crl_unknown_status: CrlUnknown::default(),
        }
    }

    /// Whether there is a bundle for the peers of a trust domain.
    pub(super) fn knows(&self, domain: &TrustDomain) -> bool {
        let mut federated = self.federated.iter();
        self.trust_domain.as_ref() == Some(domain) || federated.any(|(known, _)| known == domain)
    }

    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let federated = self.federated.iter_mut().map(|(_, bundle)| bundle);
        let all = [&mut self.bundle].into_iter().chain(federated);
        all.chain(&mut self.crl)
    }
}

/// The certificate that a table names, else that of `[identity]`, else none.
pub(super) fn certificate_files(
    certificate: Option<PathBuf>,
    private_key: Option<PathBuf>,
    identity: Option<&Identity>,
    table: &Span<()>,
) -> Result<Option<CertificateFiles>, Problem> {
    match (certificate, private_key) {
        (Some(certificate), Some(private_key)) => Ok(Some(CertificateFiles {
            certificate,
            private_key,
        })),
        (None, None) => Ok(identity.map(|identity| identity.certificate.clone())),
        (Some(_), None) => {
            Err(table.problem("certificate needs its private_key = \"….key\" beside it"))
        }
        (None, Some(_)) => {
            Err(table.problem("private_key needs its certificate = \"….pem\" beside it"))
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Switch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SwitchVisitor(PhantomData))
    }
}

struct SwitchVisitor<T>(PhantomData<fn() -> T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for SwitchVisitor<T> {
    type Value = Switch<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tls = \"off\" or a table of TLS settings")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        if text == "off" {
            return Ok(Switch::Off);
        }
        Err(E::custom(format!(
            "tls = \"{text}\" means nothing: write tls = \"off\" for cleartext, or a table"
        )))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Switch::On)
    }
}

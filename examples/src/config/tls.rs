//! What listeners and clusters share of TLS: our own certificate, and whom we trust.

use std::{fmt, marker::PhantomData, path::PathBuf};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};
use tower_mtls::TrustDomain;

use super::{
    IdentityFile, Span,
    error::{At, Problem},
    show,
};

/// Our own certificate and its key, both PEM.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    #[serde(serialize_with = "show::path")]
    pub certificate: PathBuf,
    /// The leaf's key.
    #[serde(skip)]
    pub private_key: PathBuf,
}

/// Whose certificates we accept.
#[derive(Clone, Debug)]
pub struct TrustFiles {
    /// The roots, PEM.
    pub bundle: PathBuf,
    /// Present: SPIFFE rules apply to the peer.
    pub trust_domain: Option<TrustDomain>,
}

/// `tls = "off"`, or a table.
pub(super) enum Switch<T> {
    Off,
    On(T),
}

impl CertificateFiles {
    pub(super) fn from_identity(identity: &IdentityFile) -> Self {
        Self {
            certificate: identity.certificate.clone(),
            private_key: identity.private_key.clone(),
        }
    }

    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.certificate, &mut self.private_key].into_iter()
    }
}

impl TrustFiles {
    pub(super) fn from_identity(identity: &IdentityFile) -> Self {
        Self {
            bundle: identity.trust_bundle.clone(),
            trust_domain: Some(identity.trust_domain.clone()),
        }
    }
}

/// The certificate that a table names, else that of `[identity]`, else none.
pub(super) fn certificate_files(
    certificate: Option<PathBuf>,
    private_key: Option<PathBuf>,
    identity: Option<&IdentityFile>,
    table: &Span<()>,
) -> Result<Option<CertificateFiles>, Problem> {
    match (certificate, private_key) {
        (Some(certificate), Some(private_key)) => Ok(Some(CertificateFiles {
            certificate,
            private_key,
        })),
        (None, None) => Ok(identity.map(CertificateFiles::from_identity)),
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

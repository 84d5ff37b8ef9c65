//! `[identity]`: what every listener and cluster uses that says nothing of its own.

use std::path::PathBuf;

use serde::Deserialize;
use tower_mtls::TrustDomain;

use super::{
    Span,
    error::Problem,
    tls::{CertificateFiles, CrlUnknown, Federated, Files, TrustFiles, TrustKeys},
    value::{self, NotYet},
};

/// The table, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IdentityFile {
    certificate: PathBuf,
    private_key: PathBuf,
    trust_bundle: PathBuf,
    #[serde(deserialize_with = "value::parsed")]
    trust_domain: TrustDomain,
    federated: Option<Span<Federated>>,
    crl: Option<Span<Files>>,
    crl_unknown_status: Option<Span<CrlUnknown>>,
    #[serde(rename = "spiffe")]
    _spiffe: Option<NotYet>,
}

/// Who we are, and whom we trust where nothing else is said.
pub(super) struct Identity {
    pub(super) certificate: CertificateFiles,
    pub(super) trust: TrustFiles,
}

impl IdentityFile {
    pub(super) fn check(self) -> Result<Identity, Problem> {
        let trust = TrustFiles::new(self.trust_bundle, Some(self.trust_domain));
        let keys = TrustKeys {
            crl: self.crl,
            crl_unknown_status: self.crl_unknown_status,
            federated: self.federated,
        };
        Ok(Identity {
            certificate: CertificateFiles {
                certificate: self.certificate,
                private_key: self.private_key,
            },
            trust: keys.apply(trust)?,
        })
    }
}

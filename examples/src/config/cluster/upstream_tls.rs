use std::path::PathBuf;

use serde::Deserialize;
use tower_mtls::{DnsName, SpiffeId, TrustDomain};

use crate::config::{
    IdentityFile, Span,
    error::{At, Problem},
    tls::{CertificateFiles, TrustFiles, certificate_files},
    value,
};

/// `[cluster.tls]`, or what `[identity]` makes of it.
#[derive(Clone, Debug)]
pub struct UpstreamTls {
    /// Who we are; `None`: the endpoint does not ask.
    pub certificate: Option<CertificateFiles>,
    /// Who issues the endpoints' certificates.
    pub trust: TrustFiles,
    /// Whom we expect to meet.
    pub expected: Expected,
}

/// Whom a cluster expects to find behind its endpoints.
#[derive(Clone, Debug)]
pub enum Expected {
    /// One of these workloads.
    Identities(Vec<SpiffeId>),
    /// Any workload of the trust domain.
    TrustDomain,
    /// The host of this name.
    ServerName(DnsName),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsFile {
    certificate: Option<PathBuf>,
    private_key: Option<PathBuf>,
    ca: Option<PathBuf>,
    #[serde(default, deserialize_with = "value::some_parsed")]
    trust_domain: Option<TrustDomain>,
    identity: Option<Span<Vec<String>>>,
    #[serde(default, deserialize_with = "value::some_parsed")]
    server_name: Option<DnsName>,
}

impl TlsFile {
    pub(super) fn check(
        self,
        table: &Span<()>,
        identity: Option<&IdentityFile>,
    ) -> Result<UpstreamTls, Problem> {
        let trust = match self.ca {
            Some(bundle) => TrustFiles {
                bundle,
                trust_domain: self.trust_domain,
            },
            None => identity.map(TrustFiles::from_identity).ok_or_else(|| {
                table.problem(
                    "TLS to endpoints needs ca = \"ca.pem\": whose certificates are trusted?",
                )
            })?,
        };
        let expected = match (self.identity, self.server_name, &trust.trust_domain) {
            (Some(list), None, Some(_)) => Expected::Identities(check_identities(&list)?),
            (Some(list), None, None) => {
                return Err(list.problem("identity needs trust_domain = \"example.org\" beside it"));
            }
            (Some(list), Some(_), _) => {
                return Err(list.problem("identity and server_name exclude each other: remove one"));
            }
            (None, Some(name), None) => Expected::ServerName(name),
            (None, Some(_), Some(_)) => {
                return Err(
                    table.problem("server_name and trust_domain exclude each other: remove one")
                );
            }
            (None, None, Some(_)) => Expected::TrustDomain,
            (None, None, None) => {
                return Err(table.problem(
                    "whom to expect is not said: write trust_domain and identity = [\"spiffe://example.org/backend\"], or server_name = \"backend.internal\"",
                ));
            }
        };
        let certificate = certificate_files(self.certificate, self.private_key, identity, table)?;
        Ok(UpstreamTls {
            certificate,
            trust,
            expected,
        })
    }
}

impl UpstreamTls {
    /// Mutual TLS with any workload of our own trust domain.
    pub(super) fn from_identity(identity: &IdentityFile) -> Self {
        Self {
            certificate: Some(CertificateFiles::from_identity(identity)),
            trust: TrustFiles::from_identity(identity),
            expected: Expected::TrustDomain,
        }
    }

    pub(in crate::config) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let certificate = self
            .certificate
            .iter_mut()
            .flat_map(CertificateFiles::paths);
        certificate.chain([&mut self.trust.bundle])
    }
}

fn check_identities(list: &Span<Vec<String>>) -> Result<Vec<SpiffeId>, Problem> {
    if list.get_ref().is_empty() {
        return Err(
            list.problem("an empty list expects nobody: write [\"spiffe://example.org/backend\"]")
        );
    }
    let ids = list.get_ref().iter().map(|text| text.parse::<SpiffeId>());
    ids.collect::<Result<_, _>>()
        .map_err(|error| list.problem(error.to_string()))
}

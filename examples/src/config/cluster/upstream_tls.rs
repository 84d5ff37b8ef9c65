use std::{path::PathBuf, time::Duration};

use serde::Deserialize;
use tower_mtls::{DnsName, SpiffeId, TrustDomain};

use crate::config::{
    Span,
    error::{At, Problem},
    identity::Identity,
    tls::{
        CertificateFiles, CredentialFiles, CrlUnknown, Federated, Files, TrustFiles, TrustKeys,
        certificate_files,
    },
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
    /// How far this host's clock may be off.
    pub clock_skew: Duration,
    /// Whether TLS 1.2 is spoken too.
    pub allow_tls12: bool,
    /// Whether a connection ends when its endpoint would not be accepted any more.
    pub end_connections: bool,
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
    federated: Option<Span<Federated>>,
    crl: Option<Span<Files>>,
    crl_unknown_status: Option<Span<CrlUnknown>>,
    #[serde(default, deserialize_with = "value::duration")]
    clock_skew: Duration,
    #[serde(default)]
    allow_tls12: bool,
    #[serde(default = "yes")]
    end_connections: bool,
}

impl TlsFile {
    pub(super) fn check(
        self,
        table: &Span<()>,
        identity: Option<&Identity>,
    ) -> Result<UpstreamTls, Problem> {
        let trust = match self.ca {
            Some(bundle) => TrustFiles::new(bundle, self.trust_domain),
            None => {
                let trust = identity.map(|identity| identity.trust.clone());
                trust.ok_or_else(|| {
                    table.problem(
                        "TLS to endpoints needs ca = \"ca.pem\": whose certificates are trusted?",
                    )
                })?
            }
        };
        let keys = TrustKeys {
            crl: self.crl,
            crl_unknown_status: self.crl_unknown_status,
            federated: self.federated,
        };
        let trust = keys.apply(trust)?;
        let expected = match (self.identity, self.server_name, &trust.trust_domain) {
            (Some(list), None, Some(_)) => Expected::Identities(check_identities(&list, &trust)?),
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
            clock_skew: self.clock_skew,
            allow_tls12: self.allow_tls12,
            end_connections: self.end_connections,
        })
    }
}

impl UpstreamTls {
    /// Mutual TLS with any workload of our own trust domain.
    pub(super) fn from_identity(identity: &Identity) -> Self {
        Self {
            certificate: Some(identity.certificate.clone()),
            trust: identity.trust.clone(),
            expected: Expected::TrustDomain,
            clock_skew: Duration::ZERO,
            allow_tls12: false,
            end_connections: true,
        }
    }

    pub(in crate::config) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let certificate = self
            .certificate
            .iter_mut()
            .flat_map(CertificateFiles::paths);
        certificate.chain(self.trust.paths())
    }

    /// What its handshakes are made of.
    pub(crate) fn files(&self) -> CredentialFiles {
        CredentialFiles {
            certificate: self.certificate.clone(),
            trust: Some(self.trust.clone()),
        }
    }
}

fn check_identities(
    list: &Span<Vec<String>>,
    trust: &TrustFiles,
) -> Result<Vec<SpiffeId>, Problem> {
    if list.get_ref().is_empty() {
        return Err(
            list.problem("an empty list expects nobody: write [\"spiffe://example.org/backend\"]")
        );
    }
    let ids = list.get_ref().iter().map(|text| {
        let id = text.parse::<SpiffeId>();
        let id = id.map_err(|error| list.problem(error.to_string()))?;
        match trust.knows(id.trust_domain()) {
            true => Ok(id),
            false => Err(list.problem(format!(
                "nobody vouches for {id}: write federated = {{ \"{}\" = \"….pem\" }} beside it",
                id.trust_domain()
            ))),
        }
    });
    ids.collect()
}

fn yes() -> bool {
    true
}

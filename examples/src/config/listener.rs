use std::{collections::HashSet, net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use tower_mtls::{TrustDomain, authorize::AllowList};

use super::{
    IdentityFile, Span,
    error::{At, Problem},
    show,
    tls::{CertificateFiles, Switch, TrustFiles, certificate_files},
    value::{self, NotYet},
};

/// One `[[listener]]`.
#[derive(Clone, Debug, Serialize)]
pub struct ListenerConfig {
    /// Its name in logs and metrics.
    pub name: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The cluster that everything goes to that no route takes.
    pub cluster: Option<String>,
    /// TLS, or `None` for cleartext.
    #[serde(serialize_with = "show::switch")]
    pub tls: Option<ListenerTls>,
}

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
}

/// Who may send requests to a listener.
#[derive(Clone, Debug)]
pub struct Clients {
    /// Who issues their certificates.
    pub trust: TrustFiles,
    /// Which of them are let in.
    pub allow: AllowList,
    /// The same as written; empty: any verified identity.
    pub allowed: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenerFile {
    pub(super) name: Span<String>,
    #[serde(deserialize_with = "value::address")]
    listen: SocketAddr,
    protocol: Option<Span<String>>,
    cluster: Option<Span<String>>,
    tls: Option<Span<Switch<TlsFile>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsFile {
    certificate: Option<PathBuf>,
    private_key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
    #[serde(default, deserialize_with = "value::some_parsed")]
    trust_domain: Option<TrustDomain>,
    allow: Option<Span<Vec<String>>>,
    #[serde(default)]
    allow_any: bool,
    #[serde(rename = "crl")]
    _crl: Option<NotYet>,
    #[serde(
        default = "default_handshake_timeout",
        deserialize_with = "value::positive_duration"
    )]
    handshake_timeout: Duration,
    #[serde(
        default = "default_max_handshakes",
        deserialize_with = "value::positive"
    )]
    max_handshakes: usize,
}

impl ListenerFile {
    /// With `has_routes` it may do without a cluster of its own.
    pub(super) fn check_cluster(
        &self,
        clusters: &HashSet<&str>,
        has_routes: bool,
    ) -> Result<(), Problem> {
        match &self.cluster {
            Some(cluster) => super::check_known("cluster", cluster, clusters),
            None if has_routes => Ok(()),
            None => Err(self.name.problem(format!(
                "this listener leads nowhere: write cluster = \"backend\" here, or a [[route]] with listener = \"{}\"",
                self.name.get_ref()
            ))),
        }
    }

    pub(super) fn check(self, identity: Option<&IdentityFile>) -> Result<ListenerConfig, Problem> {
        if let Some(protocol) = &self.protocol {
            check_protocol(protocol)?;
        }
        let tls = match self.tls {
            None => identity.map(ListenerTls::from_identity),
            Some(tls) => {
                let span = tls.span();
                match tls.into_inner() {
                    Switch::Off => None,
                    Switch::On(file) => Some(file.check(&Span::new(span, ()), identity)?),
                }
            }
        };
        Ok(ListenerConfig {
            name: self.name.into_inner(),
            listen: self.listen,
            cluster: self.cluster.map(Span::into_inner),
            tls,
        })
    }
}

impl TlsFile {
    fn check(
        self,
        table: &Span<()>,
        identity: Option<&IdentityFile>,
    ) -> Result<ListenerTls, Problem> {
        let trust = match self.client_ca {
            Some(bundle) => Some(TrustFiles {
                bundle,
                trust_domain: self.trust_domain,
            }),
            None if self.trust_domain.is_some() && identity.is_none() => {
                return Err(table.problem(
                    "trust_domain needs client_ca = \"ca.pem\": whose certificates are meant?",
                ));
            }
            None => identity.map(TrustFiles::from_identity),
        };
        let allowed = self.allow.as_ref().map(|list| list.get_ref().clone());
        let allowed = allowed.unwrap_or_default();
        let allow = check_allow(self.allow, self.allow_any, trust.is_some(), table)?;
        Ok(ListenerTls {
            certificate: certificate_files(self.certificate, self.private_key, identity, table)?
                .ok_or_else(|| table.problem("a TLS listener needs certificate = \"server.pem\" and private_key = \"server.key\""))?,
            clients: trust.zip(allow).map(|(trust, allow)| Clients { trust, allow, allowed }),
            handshake_timeout: self.handshake_timeout,
            max_handshakes: self.max_handshakes,
        })
    }
}

impl ListenerTls {
    /// Mutual TLS with every workload of our own trust domain.
    fn from_identity(identity: &IdentityFile) -> Self {
        Self {
            certificate: CertificateFiles::from_identity(identity),
            clients: Some(Clients {
                trust: TrustFiles::from_identity(identity),
                allow: AllowList::any_verified(),
                allowed: Vec::new(),
            }),
            handshake_timeout: default_handshake_timeout(),
            max_handshakes: default_max_handshakes(),
        }
    }

    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let trust = self
            .clients
            .as_mut()
            .map(|clients| &mut clients.trust.bundle);
        self.certificate.paths().chain(trust)
    }
}

/// Where two listen on one address, only one of them would get it.
pub(super) fn check_addresses(
    listeners: &[ListenerFile],
    admin: SocketAddr,
) -> Result<(), Problem> {
    let mut taken = vec![(admin, "[admin]".to_owned())];
    for listener in listeners {
        let address = listener.listen;
        if let Some((_, by)) = taken.iter().find(|(other, _)| overlap(*other, address)) {
            return Err(listener.name.problem(format!(
                "{address} is where {by} listens: choose another port"
            )));
        }
        taken.push((address, format!("listener `{}`", listener.name.get_ref())));
    }
    Ok(())
}

fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_same = one.ip() == other.ip();
    let is_all = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port()
        && one.port() != 0
        && one.is_ipv4() == other.is_ipv4()
        && (is_same || is_all)
}

fn check_protocol(protocol: &Span<String>) -> Result<(), Problem> {
    match protocol.get_ref().as_str() {
        "http" => Ok(()),
        "auto" | "tcp" => Err(protocol.problem(format!(
            "protocol = \"{}\" is not supported yet: write \"http\" (HTTP/1.1 and HTTP/2)",
            protocol.get_ref()
        ))),
        other => Err(protocol.problem(format!("no protocol is named `{other}`: write \"http\""))),
    }
}

fn check_allow(
    allow: Option<Span<Vec<String>>>,
    any: bool,
    client_certificates: bool,
    table: &Span<()>,
) -> Result<Option<AllowList>, Problem> {
    match (allow, any, client_certificates) {
        (None, false, false) => Ok(None),
        (Some(_), _, false) | (None, true, false) => Err(table.problem(
            "allow and allow_any need client_ca = \"ca.pem\": without it no client shows an identity",
        )),
        (Some(list), true, true) => {
            Err(list.problem("allow and allow_any = true contradict each other: remove one"))
        }
        (None, true, true) => Ok(Some(AllowList::any_verified())),
        (None, false, true) => Err(table.problem(
            "nobody is allowed: write allow = [\"spiffe://example.org/frontend\"] or allow_any = true",
        )),
        (Some(list), false, true) => AllowList::parse(list.get_ref())
            .map(Some)
            .map_err(|error| list.problem(error.to_string())),
    }
}

fn default_handshake_timeout() -> Duration {
    Duration::from_secs(10)
}

fn default_max_handshakes() -> usize {
    256
}

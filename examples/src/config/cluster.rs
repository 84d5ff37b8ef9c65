use std::{collections::HashSet, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use http::{Method, StatusCode};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};
use tower_mtls::{DnsName, SpiffeId, TrustDomain};

use super::{
    IdentityFile, Size, Span,
    error::{At, Problem},
    tls::{CertificateFiles, Switch, TrustFiles, certificate_files},
    value::{self, NotYet},
};
use crate::cluster::layers;

/// One `[[cluster]]`.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// Its name in logs, metrics and routes.
    pub name: String,
    /// What is spoken to its endpoints.
    pub protocol: ClusterProtocol,
    /// Where they are; at least one, none twice.
    pub endpoints: Vec<SocketAddr>,
    /// TLS, or `None` for cleartext.
    pub tls: Option<UpstreamTls>,
    /// How an endpoint is chosen.
    pub balance: BalanceConfig,
    /// Retries, or `None`.
    pub retry: Option<RetryConfig>,
    /// How long an answer may take; `None`: as long as it likes.
    pub timeout: Option<TimeoutConfig>,
    /// How connections are made and kept.
    pub reconnect: ReconnectConfig,
}

/// What is spoken to endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClusterProtocol {
    /// HTTP/1.1, with a pool of connections per endpoint.
    #[default]
    Http1,
    /// HTTP/2, one connection per endpoint.
    Http2,
    /// Whatever TLS negotiates (ALPN).
    Auto,
    /// Bytes.
    Tcp,
}

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

/// `[cluster.balance]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BalanceConfig {
    /// How fast an endpoint's latency is forgotten.
    #[serde(deserialize_with = "value::positive_duration")]
    pub decay: Duration,
    /// How many endpoints are compared for a request.
    #[serde(deserialize_with = "value::positive")]
    pub choices: usize,
    /// How long a request may wait for an endpoint.
    #[serde(deserialize_with = "value::duration")]
    pub wait: Duration,
    slow_start: Option<NotYet>,
    zone: Option<NotYet>,
    subset: Option<NotYet>,
    eject: Option<NotYet>,
}

/// `[cluster.retry]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// In all, the first one included.
    pub attempts: u32,
    /// Retries per successful request.
    pub budget: f64,
    /// Retries per second that are always allowed.
    pub min_per_second: f64,
    /// Retries that may be saved up.
    pub burst: u32,
    /// Between two attempts.
    pub backoff: BackoffConfig,
    /// From one attempt's start to its response headers.
    #[serde(deserialize_with = "value::some_duration")]
    pub per_try: Option<Duration>,
    /// Statuses that are worth another attempt.
    #[serde(deserialize_with = "value::failure_statuses")]
    pub statuses: Vec<StatusCode>,
    /// Methods that may be repeated.
    #[serde(deserialize_with = "value::methods")]
    pub methods: Vec<Method>,
    /// Bytes of a request's body kept for a replay.
    pub body_limit: Size,
    hedge: Option<NotYet>,
}

/// A backoff's two ends.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackoffConfig {
    /// The first delay.
    #[serde(deserialize_with = "value::positive_duration")]
    pub base: Duration,
    /// The longest delay.
    #[serde(deserialize_with = "value::positive_duration")]
    pub max: Duration,
}

/// `[cluster.timeout]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutConfig {
    /// The shortest limit.
    #[serde(deserialize_with = "value::positive_duration")]
    pub min: Duration,
    /// The longest limit.
    #[serde(deserialize_with = "value::positive_duration")]
    pub max: Duration,
    /// The limit until there are enough samples.
    #[serde(deserialize_with = "value::positive_duration")]
    pub initial: Duration,
    /// One limit for ever, instead of adapting.
    #[serde(deserialize_with = "value::some_duration")]
    pub fixed: Option<Duration>,
    /// Between two pieces of a response's body.
    #[serde(deserialize_with = "value::positive_duration")]
    pub body_idle: Duration,
}

/// `[cluster.reconnect]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReconnectConfig {
    /// Over the whole of connect: TCP, TLS, HTTP handshake.
    #[serde(deserialize_with = "value::positive_duration")]
    pub connect_timeout: Duration,
    /// Between two dials that failed.
    pub backoff: BackoffConfig,
    /// Uptime after which the backoff starts anew.
    #[serde(deserialize_with = "value::positive_duration")]
    pub stable_after: Duration,
    /// HTTP/1 connections per endpoint.
    #[serde(deserialize_with = "value::positive")]
    pub max_connections: usize,
    /// Requests per endpoint that wait for an HTTP/1 connection.
    pub max_pending: usize,
    /// How long an HTTP/1 connection is kept unused.
    #[serde(deserialize_with = "value::positive_duration")]
    pub idle: Duration,
    /// Between two HTTP/2 PINGs of a connection in use.
    #[serde(deserialize_with = "value::positive_duration")]
    pub keepalive: Duration,
    max_age: Option<NotYet>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterFile {
    pub(super) name: Span<String>,
    protocol: Option<Span<ClusterProtocol>>,
    endpoints: Span<Vec<Span<EndpointFile>>>,
    tls: Option<Span<Switch<TlsFile>>>,
    balance: Option<Span<BalanceConfig>>,
    retry: Option<Span<RetryConfig>>,
    timeout: Option<Span<TimeoutConfig>>,
    reconnect: Option<Span<ReconnectConfig>>,
    #[serde(rename = "discovery")]
    _discovery: Option<NotYet>,
}

/// `"127.0.0.1:9001"` or `{ address = "127.0.0.1:9001" }`.
struct EndpointFile(SocketAddr);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointTable {
    #[serde(deserialize_with = "value::address")]
    address: SocketAddr,
    #[serde(rename = "weight")]
    _weight: Option<NotYet>,
    #[serde(rename = "zone")]
    _zone: Option<NotYet>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsFile {
    certificate: Option<PathBuf>,
    private_key: Option<PathBuf>,
    ca: Option<PathBuf>,
    #[serde(default, deserialize_with = "value::some_parsed")]
    trust_domain: Option<TrustDomain>,
    identity: Option<Span<Vec<String>>>,
    #[serde(default, deserialize_with = "value::some_parsed")]
    server_name: Option<DnsName>,
}

impl ClusterFile {
    pub(super) fn check(self, identity: Option<&IdentityFile>) -> Result<ClusterConfig, Problem> {
        let endpoints = check_endpoints(self.endpoints)?;
        let tls = match self.tls {
            None => identity.map(UpstreamTls::from_identity),
            Some(tls) => {
                let span = tls.span();
                match tls.into_inner() {
                    Switch::Off => None,
                    Switch::On(file) => Some(file.check(&Span::new(span, ()), identity)?),
                }
            }
        };
        Ok(ClusterConfig {
            name: self.name.into_inner(),
            protocol: check_protocol(self.protocol, tls.is_some())?,
            endpoints,
            tls,
            balance: checked(self.balance, layers::balance)?.unwrap_or_default(),
            retry: checked(self.retry, layers::retry)?,
            timeout: checked(self.timeout, layers::timeout)?,
            reconnect: checked(self.reconnect, |reconnect| layers::reconnect("", reconnect))?
                .unwrap_or_default(),
        })
    }
}

impl TlsFile {
    fn check(
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
    fn from_identity(identity: &IdentityFile) -> Self {
        Self {
            certificate: Some(CertificateFiles::from_identity(identity)),
            trust: TrustFiles::from_identity(identity),
            expected: Expected::TrustDomain,
        }
    }

    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let certificate = self
            .certificate
            .iter_mut()
            .flat_map(CertificateFiles::paths);
        certificate.chain([&mut self.trust.bundle])
    }
}

impl Default for BalanceConfig {
    fn default() -> Self {
        Self {
            decay: Duration::from_secs(10),
            choices: 2,
            wait: Duration::from_secs(1),
            slow_start: None,
            zone: None,
            subset: None,
            eject: None,
        }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            attempts: 4,
            budget: 0.2,
            min_per_second: 1.0,
            burst: 20,
            backoff: BackoffConfig {
                base: Duration::from_millis(25),
                max: Duration::from_millis(250),
            },
            per_try: None,
            statuses: vec![
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ],
            methods: vec![
                Method::GET,
                Method::HEAD,
                Method::OPTIONS,
                Method::PUT,
                Method::DELETE,
            ],
            body_limit: Size::kibibytes(64),
            hedge: None,
        }
    }
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self {
            min: Duration::from_millis(10),
            max: Duration::from_secs(10),
            initial: Duration::from_secs(1),
            fixed: None,
            body_idle: Duration::from_secs(60),
        }
    }
}

impl Default for ReconnectConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            backoff: BackoffConfig {
                base: Duration::from_millis(100),
                max: Duration::from_secs(10),
            },
            stable_after: Duration::from_secs(5),
            max_connections: 512,
            max_pending: 1024,
            idle: Duration::from_secs(90),
            keepalive: Duration::from_secs(30),
            max_age: None,
        }
    }
}

impl<'de> Deserialize<'de> for EndpointFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EndpointVisitor)
    }
}

struct EndpointVisitor;

impl<'de> Visitor<'de> for EndpointVisitor {
    type Value = EndpointFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an endpoint such as \"127.0.0.1:9001\" or { address = \"127.0.0.1:9001\" }")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        value::parse_address(text)
            .map(EndpointFile)
            .map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        EndpointTable::deserialize(MapAccessDeserializer::new(map))
            .map(|table| EndpointFile(table.address))
    }
}

fn check_endpoints(endpoints: Span<Vec<Span<EndpointFile>>>) -> Result<Vec<SocketAddr>, Problem> {
    if endpoints.get_ref().is_empty() {
        return Err(endpoints
            .problem("a cluster needs an endpoint: write endpoints = [\"127.0.0.1:9001\"]"));
    }
    let mut seen = HashSet::new();
    for endpoint in endpoints.get_ref() {
        let address = endpoint.get_ref().0;
        if !seen.insert(address) {
            return Err(endpoint.problem(format!("endpoint {address} is listed twice: remove one")));
        }
    }
    Ok(endpoints
        .into_inner()
        .into_iter()
        .map(|endpoint| endpoint.into_inner().0)
        .collect())
}

fn check_protocol(
    protocol: Option<Span<ClusterProtocol>>,
    tls: bool,
) -> Result<ClusterProtocol, Problem> {
    let Some(protocol) = protocol else {
        return Ok(ClusterProtocol::default());
    };
    match protocol.get_ref() {
        ClusterProtocol::Tcp => {
            Err(protocol.problem("protocol = \"tcp\" is not supported yet: write \"http1\", \"http2\" or \"auto\""))
        }
        ClusterProtocol::Auto if !tls => Err(protocol.problem(
            "protocol = \"auto\" is negotiated by TLS, and this cluster has none: write \"http1\" or \"http2\"",
        )),
        supported => Ok(*supported),
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

/// Lets the layer itself judge its settings: what it refuses is refused here, at its table.
fn checked<T, L, E: fmt::Display>(
    table: Option<Span<T>>,
    build: impl FnOnce(&T) -> Result<L, E>,
) -> Result<Option<T>, Problem> {
    let Some(table) = table else {
        return Ok(None);
    };
    match build(table.get_ref()) {
        Ok(_) => Ok(Some(table.into_inner())),
        // The layer's name for what the file calls `budget`.
        Err(error) => Err(table.problem(error.to_string().replace("`ratio`", "`budget`"))),
    }
}

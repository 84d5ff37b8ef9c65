//! `[[cluster]]`: where requests go, and how.

mod balance;
mod endpoint;
mod retry;
mod settings;
mod slow;
mod upstream_tls;

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use tower_mtls::source::Updater;

pub use self::{
    balance::{BalanceConfig, EjectConfig},
    endpoint::EndpointConfig,
    retry::{JitterConfig, PricesConfig, RetryBackoffConfig, RetryConfig},
    settings::{BackoffConfig, ReconnectConfig, TimeoutConfig},
    slow::{HedgeConfig, ThrottleConfig},
    upstream_tls::{Expected, UpstreamTls},
};
use self::{endpoint::check_endpoints, upstream_tls::TlsFile};
use super::{
    Span,
    error::{At, Problem},
    identity::Identity,
    show,
    tls::Switch,
    value::{NotYet, Size},
};
use crate::cluster::{Ejections, Retries, layers};

/// One `[[cluster]]`.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterConfig {
    /// Its name in logs, metrics and routes.
    pub name: String,
    /// What is spoken to its endpoints.
    pub protocol: ClusterProtocol,
    /// Where they are; at least one, none twice.
    pub endpoints: Vec<EndpointConfig>,
    /// TLS, or `None` for cleartext.
    #[serde(serialize_with = "show::switch")]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClusterProtocol {
    /// HTTP/1.1, with a pool of connections per endpoint.
    #[default]
    Http1,
    /// HTTP/2, more than one connection per endpoint only when its streams run out.
    Http2,
    /// Whatever TLS negotiates (ALPN).
    Auto,
    /// Bytes.
    Tcp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterFile {
    pub(super) name: Span<String>,
    protocol: Option<Span<ClusterProtocol>>,
    endpoints: Span<Vec<Span<EndpointConfig>>>,
    tls: Option<Span<Switch<TlsFile>>>,
    balance: Option<Span<BalanceConfig>>,
    retry: Option<Span<RetryConfig>>,
    timeout: Option<Span<TimeoutConfig>>,
    reconnect: Option<Span<ReconnectConfig>>,
    #[serde(rename = "discovery")]
    _discovery: Option<NotYet>,
}

impl ClusterFile {
    pub(super) fn check(self, identity: Option<&Identity>) -> Result<ClusterConfig, Problem> {
        let endpoints = check_endpoints(self.endpoints)?;
        let tls = check_tls(self.tls, identity)?;
        Ok(ClusterConfig {
            name: self.name.into_inner(),
            protocol: check_protocol(self.protocol, tls.is_some())?,
            endpoints,
            tls,
            balance: checked(self.balance, check_balance)?.unwrap_or_default(),
            retry: checked(self.retry, check_retry)?,
            timeout: checked(self.timeout, |timeout| layers::timeout(timeout, false))?,
            reconnect: checked(self.reconnect, layers::check_reconnect)?.unwrap_or_default(),
        })
    }
}

fn check_tls(
    tls: Option<Span<Switch<TlsFile>>>,
    identity: Option<&Identity>,
) -> Result<Option<UpstreamTls>, Problem> {
    let Some(tls) = tls else {
        return Ok(identity.map(UpstreamTls::from_identity));
    };
    let table = Span::new(tls.span(), ());
    let Switch::On(file) = tls.into_inner() else {
        return Ok(None);
    };
    let tls = file.check(&table, identity)?;
    // Without files, only the settings are judged.
    let source = Updater::new().source();
    let (protocol, timeout) = (ClusterProtocol::default(), Duration::from_secs(1));
    match layers::mtls(&source, &tls, protocol, timeout) {
        Ok(_) => Ok(Some(tls)),
        Err(error) => Err(table.problem(error.to_string()).of_key()),
    }
}

fn check_balance(config: &BalanceConfig) -> Result<(), tower_balance_p2c::error::InvalidSetting> {
    layers::balance(config, Ejections::default()).map(drop)
}

pub(in crate::config) fn check_retry(config: &RetryConfig) -> Result<(), String> {
    Retries::check(config)?;
    if config.body_limit.count() > config.body_memory.count() {
        return Err(format!(
            "`body_limit` is {} bytes, more than `body_memory` has for all bodies: use at most {}",
            config.body_limit.count(),
            config.body_memory.count()
        ));
    }
    if config.grpc_trailers.count() > MOST_PEEKED.count() {
        return Err(format!(
            "`grpc_trailers` is {} bytes, which is much to hold back of an answer: use 0 to {}",
            config.grpc_trailers.count(),
            MOST_PEEKED.count()
        ));
    }
    Ok(())
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

/// Lets the layer itself judge its settings: what it refuses is refused here, at its place.
pub(in crate::config) fn checked<T, L, E: fmt::Display>(
    table: Option<Span<T>>,
    build: impl FnOnce(&T) -> Result<L, E>,
) -> Result<Option<T>, Problem> {
    let Some(table) = table else {
        return Ok(None);
    };
    match build(table.get_ref()) {
        Ok(_) => Ok(Some(table.into_inner())),
        Err(error) => {
            let text = RENAMED
                .iter()
                .fold(error.to_string(), |text, (layers, ours)| {
                    text.replace(layers, ours)
                });
            Err(table.problem(text).of_key())
        }
    }
}

/// What a layer calls a setting, and what the file does.
const RENAMED: [(&str, &str); 4] = [
    ("`ratio`", "`budget`"),
    ("`price.", "`prices."),
    ("`ejection.", "`eject."),
    ("`slow_start.window`", "`slow_start`"),
];

/// Of each answer, in `grpc_trailers`.
const MOST_PEEKED: Size = Size::kibibytes(64);

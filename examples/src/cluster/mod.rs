//! Where requests go: deadline, retry, balancer, and one service per endpoint.

mod fate;
pub mod layers;
mod status;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use http::Request;
use tokio::time::interval;
use tower::util::Either;
use tower_balance_p2c::{Balance, Change};
use tower_layer::Layer;
use tower_mtls::{Credentials, MtlsLayer, TrustBundle, error::CredentialsError};
use tower_reconnect::State;
use tower_retry_budget::{
    Budget, Retry,
    http::{BodyReplay, ReplayBody},
};
use tower_timeout_ewma::{
    AdaptiveTimeout, AdaptiveTimeoutLayer,
    deadline::{Deadlines, http::HttpDeadline},
};

pub use self::{
    fate::{Fated, FatedBody, FatedFuture},
    status::{ClusterStatus, EndpointStatus},
};
use crate::{
    BoxError,
    cluster::layers::{AtEnd, BlameEndpoint, HttpPolicy, HttpRetryLayer, HttpTimeoutLayer},
    config::{CertificateFiles, ClusterConfig, TrustFiles},
    endpoint::{Endpoint, EndpointSettings, Link, connector},
    http::body::ClientBody,
};

/// A request as endpoints get it.
pub type EndpointRequest = Request<ReplayBody<ClientBody>>;

/// The balancer over a cluster's endpoints.
pub type Balanced = Balance<
    SocketAddr,
    Fated<Endpoint<ReplayBody<ClientBody>>>,
    EndpointRequest,
    BlameEndpoint,
    AtEnd,
>;

/// The way of a request through a cluster, outermost layer first.
pub type Stack = Deadlines<
    Retry<Either<AdaptiveTimeout<Balanced>, Balanced>, HttpPolicy, BodyReplay>,
    HttpDeadline,
>;

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    name: Arc<str>,
    cleartext: bool,
    body_idle: Duration,
    balance: Balanced,
    stack: Stack,
    retry: HttpRetryLayer,
    budget: Option<Budget>,
    timeout: Option<HttpTimeoutLayer>,
    connections: Vec<(SocketAddr, Link<ReplayBody<ClientBody>>)>,
}

impl Cluster {
    /// Builds a cluster and begins to connect to its endpoints.
    ///
    /// Must be called within a tokio runtime, which drives the balancer.
    ///
    /// # Errors
    ///
    /// Credentials that cannot be read, or a setting that a layer refuses.
    pub fn start(config: &ClusterConfig) -> Result<Self, BoxError> {
        let tls = load_tls(config)?;
        let timeout = config.timeout.as_ref().map(layers::timeout).transpose()?;
        let settings = EndpointSettings {
            connector: connector(config.reconnect.keepalive, tls.as_ref()),
            protocol: config.protocol,
            timeout: timeout.clone(),
            reconnect: config.reconnect,
        };
        let mut endpoints = Vec::with_capacity(config.endpoints.len());
        let mut connections = Vec::with_capacity(config.endpoints.len());
        for &address in &config.endpoints {
            let (endpoint, link) = settings.endpoint(address)?;
            let endpoint = Fated::new(endpoint);
            endpoints.push(Ok::<_, BoxError>(Change::Insert(address, endpoint)));
            connections.push((address, link));
        }
        // A static set never changes; discovery that never ends says so.
        let discovery = stream::iter(endpoints).chain(stream::pending());
        let balance = layers::balance(&config.balance)?.layer(discovery);
        let (retry, budget) = match &config.retry {
            Some(retry) => {
                let (layer, budget) = layers::retry(retry, config.protocol)?;
                (layer, Some(budget))
            }
            None => (layers::no_retry(config.protocol)?, None),
        };
        let attempt = match config.retry.as_ref().and_then(|retry| retry.per_try) {
            Some(limit) => Either::Left(AdaptiveTimeoutLayer::fixed(limit).layer(balance.clone())),
            None => Either::Right(balance.clone()),
        };
        Ok(Self {
            name: config.name.as_str().into(),
            cleartext: tls.is_none(),
            body_idle: config.timeout.unwrap_or_default().body_idle,
            stack: layers::deadline().layer(retry.layer(attempt)),
            balance,
            retry,
            budget,
            timeout,
            connections,
        })
    }

    /// The cluster's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// A handle that requests are sent to.
    pub fn stack(&self) -> Stack {
        self.stack.clone()
    }

    /// How long a response's body may pause.
    pub fn body_idle(&self) -> Duration {
        self.body_idle
    }

    /// Whether an endpoint would take a request now, found out without one. Where a connection
    /// has just ended, it waits a little for the next.
    pub async fn is_ready(&self) -> bool {
        let mut looks = interval(LOOK_AGAIN);
        for _ in 0..LOOKS {
            looks.tick().await;
            self.connections.iter().for_each(|(_, link)| link.look());
            if self.status().ready > 0 {
                return true;
            }
            let mut states = self.connections.iter().map(|(_, link)| link.state());
            if !states.any(|state| matches!(state, State::Idle | State::Connecting)) {
                return false;
            }
        }
        false
    }

    /// What `/clusters`, `/metrics` and the demo show.
    pub fn status(&self) -> ClusterStatus {
        ClusterStatus::of(self)
    }
}

/// Reads a cluster's keys, where it has TLS.
pub(crate) fn load_tls(config: &ClusterConfig) -> Result<Option<MtlsLayer>, BoxError> {
    let Some(tls) = &config.tls else {
        return Ok(None);
    };
    let trust = load_trust(&tls.trust)?;
    let credentials = tls.certificate.as_ref().map(load_credentials).transpose()?;
    Ok(Some(layers::mtls(
        trust,
        credentials,
        &tls.expected,
        config,
    )?))
}

/// Reads a certificate and its key.
pub(crate) fn load_credentials(files: &CertificateFiles) -> Result<Credentials, CredentialsError> {
    Credentials::from_files(&files.certificate, &files.private_key)
}

/// Reads a trust bundle.
pub(crate) fn load_trust(files: &TrustFiles) -> Result<TrustBundle, CredentialsError> {
    let bundle = TrustBundle::from_file(&files.bundle)?;
    Ok(match &files.trust_domain {
        Some(domain) => bundle.with_trust_domain(domain.clone()),
        None => bundle,
    })
}

/// How long [`Cluster::is_ready`] waits, in all half a second: probes have little time.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const LOOKS: u32 = 50;

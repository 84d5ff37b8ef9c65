//! Where requests go: deadline, retry, balancer, and one service per endpoint.

mod fate;
pub mod layers;
mod route;
mod status;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream};
use http::Request;
use tokio::time::interval;
use tower::util::Either;
use tower_balance_p2c::{Balance, Change};
use tower_layer::Layer;
use tower_mtls::{Credentials, MtlsLayer, TrustBundle, error::CredentialsError};
use tower_reconnect::State;
use tower_retry_budget::{
    Budget, Retry, RetryStats,
    http::{BodyReplay, ReplayBody},
};
use tower_timeout_ewma::{AdaptiveTimeout, AdaptiveTimeoutLayer, deadline::Deadlines};

pub use self::{
    fate::{Fated, FatedBody, FatedFuture},
    route::{Noted, NotedFuture, RouteDeadline},
    status::{ClusterStatus, EndpointStatus, RouteLimit},
};
use crate::{
    BoxError,
    cluster::layers::{AtEnd, BlameEndpoint, HttpPolicy, HttpRetryLayer, HttpTimeoutLayer},
    config::{
        CertificateFiles, ClusterConfig, ClusterProtocol, ForwardConfig, RetryConfig,
        TimeoutConfig, TrustFiles,
    },
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
    Noted<Retry<Either<AdaptiveTimeout<Balanced>, Balanced>, HttpPolicy, BodyReplay>>,
    RouteDeadline,
>;

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    name: Arc<str>,
    cleartext: bool,
    balance: Balanced,
    retry: HttpRetryLayer,
    per_try: Option<Duration>,
    /// Made when first something retries.
    budget: OnceLock<Budget>,
    timeout: Option<HttpTimeoutLayer>,
    timeout_config: Option<TimeoutConfig>,
    protocol: ClusterProtocol,
    connections: Vec<(SocketAddr, Link<ReplayBody<ClientBody>>)>,
    /// Locked when a route is made and when somebody asks for the status.
    routes: Mutex<Vec<RouteParts>>,
}

/// What a route has for itself, for the status.
#[derive(Debug)]
struct RouteParts {
    name: Box<str>,
    retry: Option<HttpRetryLayer>,
    timeout: Option<HttpTimeoutLayer>,
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
        let body_idle = config.timeout.unwrap_or_default().body_idle;
        let mut endpoints = Vec::with_capacity(config.endpoints.len());
        let mut connections = Vec::with_capacity(config.endpoints.len());
        for &address in &config.endpoints {
            let (endpoint, link) = settings.endpoint(address)?;
            let endpoint = Fated::new(endpoint, body_idle);
            endpoints.push(Ok::<_, BoxError>(Change::Insert(address, endpoint)));
            connections.push((address, link));
        }
        // A static set never changes; discovery that never ends says so.
        let discovery = stream::iter(endpoints).chain(stream::pending());
        let balance = layers::balance(&config.balance)?.layer(discovery);
        let budget = OnceLock::new();
        let retry = match &config.retry {
            Some(retry) => layers::retry(retry, budget_of(&budget, retry)?, config.protocol)?,
            None => layers::no_retry(config.protocol)?,
        };
        Ok(Self {
            name: config.name.as_str().into(),
            cleartext: tls.is_none(),
            balance,
            retry,
            per_try: config.retry.as_ref().and_then(|retry| retry.per_try),
            budget,
            timeout,
            timeout_config: config.timeout,
            protocol: config.protocol,
            connections,
            routes: Mutex::default(),
        })
    }

    /// The cluster's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// A handle that requests are sent to.
    pub fn stack(&self) -> Stack {
        self.stack_with(&self.retry, self.per_try, RouteDeadline::new(None), None)
    }

    /// A handle for the requests of a route, over the same endpoints and the same budget.
    ///
    /// # Errors
    ///
    /// A setting that a layer refuses.
    pub fn route(&self, name: &str, config: &ForwardConfig) -> Result<Stack, BoxError> {
        let retry = config.retry.as_ref().map(|retry| {
            let layer = layers::retry(retry, budget_of(&self.budget, retry)?, self.protocol)?;
            Ok::<_, BoxError>((layer, retry.per_try))
        });
        let retry = retry.transpose()?;
        // A limit that is fixed is the same for all: there is nothing to learn for each route.
        let adaptive = self
            .timeout_config
            .filter(|timeout| timeout.fixed.is_none());
        let timeout = adaptive.as_ref().map(layers::timeout).transpose()?;
        let (layer, per_try) = match &retry {
            Some((layer, per_try)) => (layer, *per_try),
            None => (&self.retry, self.per_try),
        };
        let deadline = RouteDeadline::new(config.timeout);
        let stack = self.stack_with(layer, per_try, deadline, timeout.clone());
        let parts = RouteParts {
            name: name.into(),
            retry: retry.map(|(layer, _)| layer),
            timeout,
        };
        self.routes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(parts);
        Ok(stack)
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

    fn stack_with(
        &self,
        retry: &HttpRetryLayer,
        per_try: Option<Duration>,
        deadline: RouteDeadline,
        timeout: Option<HttpTimeoutLayer>,
    ) -> Stack {
        let balance = self.balance.clone();
        let attempt = match per_try {
            Some(limit) => Either::Left(AdaptiveTimeoutLayer::fixed(limit).layer(balance)),
            None => Either::Right(balance),
        };
        Deadlines::new(Noted::new(retry.layer(attempt), timeout), deadline)
    }

    /// Of the cluster's own layer and of its routes'.
    fn retries(&self) -> RetryStats {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let layers = routes.iter().filter_map(|route| route.retry.as_ref());
        layers.fold(self.retry.stats(), |sum, layer| sum + layer.stats())
    }

    fn route_limits(&self) -> Vec<RouteLimit> {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = routes.iter().filter_map(|route| {
            let timeout = route.timeout.as_ref()?;
            Some(RouteLimit {
                route: route.name.to_string(),
                limit_ms: status::milliseconds(timeout.limit()),
            })
        });
        limits.collect()
    }
}

/// The cluster's one budget; the first that retries makes it.
fn budget_of(
    budget: &OnceLock<Budget>,
    config: &RetryConfig,
) -> Result<Budget, tower_retry_budget::error::InvalidSetting> {
    let first = layers::budget(config)?;
    Ok(budget.get_or_init(|| first).clone())
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

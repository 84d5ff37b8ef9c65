//! Where requests go: deadline, retry, balancer, and one service per endpoint.

mod connection_status;
mod ejections;
mod endpoint_status;
mod endpoints;
mod fate;
pub mod layers;
mod retries;
mod retry_status;
mod route;
mod status;
mod steer;
mod tls_status;

use std::{
    net::SocketAddr,
    ops::Add,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use http::Request;
use tokio::time::interval;
use tower_balance_p2c::Balance;
use tower_layer::Layer;
use tower_mtls::{MtlsLayer, Source};
use tower_reconnect::State;
use tower_retry_budget::{RetryStats, hedge::HedgeStats, http::ReplayBody};
use tower_timeout_ewma::deadline::Deadlines;

pub use self::{
    connection_status::ConnectionStatus,
    ejections::Ejections,
    endpoint_status::{EndpointState, EndpointStatus},
    fate::{Fated, FatedBody, FatedFuture},
    retries::Retrying,
    retry_status::{BudgetStatus, HedgeStatus, KindStatus, MemoryStatus, ThrottleStatus},
    route::{Noted, NotedFuture, RouteDeadline},
    status::{ClusterStatus, RouteLimit},
    steer::{Elsewhere, Sent},
    tls_status::TlsStatus,
};
use self::{
    endpoints::{Connections, Maker, discover},
    retries::Common,
};
pub(crate) use self::{retries::Retries, retry_status::refused};
use crate::{
    BoxError,
    cluster::layers::{AtEnd, BlameEndpoint, HttpHedgeLayer, HttpTimeoutLayer},
    config::{ClusterConfig, ClusterProtocol, ForwardConfig, RetryConfig, TimeoutConfig},
    credentials::Sources,
    endpoint::{EndpointSettings, ResendLayer, connector},
    http::body::ClientBody,
    telemetry::UpstreamMetrics,
};

/// A request as endpoints get it.
pub type EndpointRequest = Request<EndpointBody>;

/// Its body: retries keep one, and hedges keep one of what retries make of it.
type EndpointBody = ReplayBody<ReplayBody<ClientBody>>;

/// The balancer over a cluster's endpoints.
pub type Balanced =
    Balance<SocketAddr, endpoints::Service, EndpointRequest, BlameEndpoint, AtEnd, Elsewhere>;

/// The way of a request through a cluster, outermost layer first.
pub type Stack = Deadlines<Noted<Retrying>, RouteDeadline>;

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    name: Arc<str>,
    tls: Option<Tls>,
    balance: Balanced,
    ejections: Ejections,
    resend: ResendLayer,
    /// How many endpoints the configuration names.
    known: usize,
    retries: Retries,
    retry_config: Option<RetryConfig>,
    /// Made when first something retries.
    common: OnceLock<Common>,
    timeout: Option<HttpTimeoutLayer>,
    timeout_config: Option<TimeoutConfig>,
    protocol: ClusterProtocol,
    connections: Connections,
    upstream: UpstreamMetrics,
    /// Locked when a route is made and when somebody asks for the status.
    routes: Mutex<Vec<RouteParts>>,
}

/// TLS with a cluster's endpoints.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) layer: MtlsLayer,
    source: Source,
}

/// What a route has for itself, for the status.
#[derive(Debug)]
struct RouteParts {
    name: Box<str>,
    retries: Option<Retries>,
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
    pub fn start(config: &ClusterConfig, sources: &mut Sources) -> Result<Self, BoxError> {
        let tls = load_tls(config, sources)?;
        let timeout = config.timeout.as_ref();
        let timeout = timeout.map(|timeout| layers::timeout(timeout, false));
        let timeout = timeout.transpose()?;
        // What endpoints are made with is checked before there is one.
        layers::check_reconnect(&config.reconnect)?;
        let (connections, upstream) = (Connections::default(), UpstreamMetrics::default());
        let maker = Maker {
            settings: EndpointSettings {
                connector: connector(
                    config.reconnect.keepalive,
                    tls.as_ref().map(|tls| &tls.layer),
                ),
                protocol: config.protocol,
                timeout: timeout.clone(),
                reconnect: config.reconnect,
                metrics: upstream.clone(),
            },
            body_idle: config.timeout.unwrap_or_default().body_idle,
            connections: connections.clone(),
        };
        let ejections = Ejections::default();
        let balance = layers::balance(&config.balance, ejections.clone())?;
        let common = OnceLock::new();
        let retries = match &config.retry {
            Some(retry) => Retries::new(retry, common_of(&common, retry)?, config.protocol)?,
            None => Retries::none(config.protocol)?,
        };
        Ok(Self {
            name: config.name.as_str().into(),
            tls,
            balance: balance.layer(discover(config, maker)),
            ejections,
            resend: ResendLayer::new(config.reconnect.connect_timeout),
            known: config.endpoints.len(),
            retries,
            retry_config: config.retry.clone(),
            common,
            timeout,
            timeout_config: config.timeout,
            protocol: config.protocol,
            connections,
            upstream,
            routes: Mutex::default(),
        })
    }

    /// The cluster's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// A handle that requests are sent to.
    pub fn stack(&self) -> Stack {
        self.stack_with(&self.retries, RouteDeadline::new(None), None)
    }

    /// A handle for the requests of a route, over the same endpoints and the same budget.
    ///
    /// # Errors
    ///
    /// A setting that a layer refuses.
    pub fn route(&self, name: &str, config: &ForwardConfig) -> Result<Stack, BoxError> {
        // What is to be hedged is learnt for each route, too.
        let hedging = self.retry_config.as_ref();
        let hedging = hedging.filter(|retry| retry.hedge.is_some());
        let retries = config.retry.as_deref().or(hedging).map(|retry| {
            let common = common_of(&self.common, retry)?;
            Retries::new(retry, common, self.protocol)
        });
        let retries = retries.transpose()?;
        // A limit that is fixed is the same for all: there is nothing to learn for each route.
        let adaptive = self
            .timeout_config
            .filter(|timeout| timeout.fixed.is_none());
        let is_limited = config.timeout.is_some();
        let timeout = adaptive.as_ref();
        let timeout = timeout.map(|timeout| layers::timeout(timeout, is_limited));
        let timeout = timeout.transpose()?;
        let deadline = RouteDeadline::new(config.timeout);
        let own = retries.as_ref().unwrap_or(&self.retries);
        let stack = self.stack_with(own, deadline, timeout.clone());
        let parts = RouteParts {
            name: name.into(),
            retries,
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
            let connections = self.connections.all();
            connections.iter().for_each(|it| it.link.look());
            if self.status().ready > 0 {
                return true;
            }
            let mut states = connections.iter().map(|it| it.link.state());
            if !states.any(|state| matches!(state, State::Idle | State::Connecting)) {
                return false;
            }
        }
        false
    }

    /// What became of its dials and connections.
    pub fn upstream(&self) -> &UpstreamMetrics {
        &self.upstream
    }

    /// What `/clusters`, `/metrics` and the demo show.
    pub fn status(&self) -> ClusterStatus {
        ClusterStatus::of(self)
    }

    fn stack_with(
        &self,
        retries: &Retries,
        deadline: RouteDeadline,
        timeout: Option<HttpTimeoutLayer>,
    ) -> Stack {
        let retrying = retries.over(self.resend.layer(self.balance.clone()));
        let noted = Noted::new(retrying, timeout, retries.go_elsewhere)
            .attempt_header(retries.attempt_header.clone());
        Deadlines::new(noted, deadline)
    }

    /// Of the cluster's own layers and of its routes'.
    fn retries(&self) -> (RetryStats, Option<HedgeStats>) {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let of_routes = routes.iter().filter_map(|route| route.retries.as_ref());
        let all = || std::iter::once(&self.retries).chain(of_routes.clone());
        let sum = |sum, retries: &Retries| sum + retries.layer.stats();
        let hedges = all().filter_map(|retries| retries.hedge.as_ref());
        let hedges = hedges.map(HttpHedgeLayer::stats).reduce(Add::add);
        let mut stats = all().fold(RetryStats::default(), sum);
        stats.resent += self.resend.resent();
        (stats, hedges)
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

/// What the cluster has once; the first that retries makes it.
fn common_of<'a>(common: &'a OnceLock<Common>, config: &RetryConfig) -> Result<&'a Common, String> {
    let first = Common::new(config)?;
    Ok(common.get_or_init(|| first))
}

/// Reads a cluster's keys, where it has TLS.
pub(crate) fn load_tls(
    config: &ClusterConfig,
    sources: &mut Sources,
) -> Result<Option<Tls>, BoxError> {
    let Some(tls) = &config.tls else {
        return Ok(None);
    };
    let source = sources.of(format!("cluster {}", config.name), tls.files())?;
    let timeout = config.reconnect.connect_timeout;
    let layer = layers::mtls(&source, tls, config.protocol, timeout)?;
    Ok(Some(Tls { layer, source }))
}

/// How long [`Cluster::is_ready`] waits, in all half a second: probes have little time.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const LOOKS: u32 = 50;

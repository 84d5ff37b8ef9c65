use std::{collections::HashMap, net::SocketAddr, time::Duration};

use serde::{Serialize, Serializer};
use tower_balance_p2c::Stats;
use tower_retry_budget::{RetryStats, hedge::HedgeStats};

use super::{
    Cluster,
    endpoint_status::EndpointStatus,
    layers::SentAgain,
    retry_status::{BudgetStatus, HedgeStatus, MemoryStatus, ThrottleStatus, refused},
    tls_status::TlsStatus,
};

/// What a cluster is doing at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterStatus {
    /// Its name.
    pub name: String,
    /// Whether it carries cleartext.
    pub cleartext: bool,
    /// Who we are to its endpoints, and what became of handshakes with them; `None`: cleartext.
    pub tls: Option<TlsStatus>,
    /// Endpoints that are configured, in this process's subset or not.
    pub known: usize,
    /// Endpoints with a connection that takes requests, ejected or not.
    pub ready: usize,
    /// Endpoints that are left alone because of their failures.
    pub ejected: usize,
    /// Whether ejection is ignored, because too few endpoints could be used.
    pub panicking: bool,
    /// Whether the balancer follows its endpoints; always, while the process is well.
    pub driver_running: bool,
    /// What an endpoint is taken to need for each request, in milliseconds, while nothing else is
    /// known of it.
    pub typical_latency_ms: f64,
    /// Requests that were sent to an endpoint.
    pub picks: u64,
    /// Endpoints that turned out not to be ready when they were picked.
    pub repicks: u64,
    /// Requests that had to wait for an endpoint.
    pub waits: u64,
    /// Requests that were to find out whether an ejected endpoint is well again.
    pub probes: u64,
    /// Ejections by reason.
    #[serde(serialize_with = "serialize_counts")]
    pub ejections: [(&'static str, u64); 5],
    /// Failures for which an endpoint would have been ejected if fewer had been.
    pub spared: u64,
    /// What became of failed attempts.
    #[serde(serialize_with = "serialize_retries")]
    pub retries: RetryStats,
    /// Requests sent to endpoints: first attempts, retries, resends and hedges.
    pub attempts: u64,
    /// Retries sent, by what was wrong with the attempt before.
    #[serde(serialize_with = "serialize_counts")]
    pub retry_kinds: [(&'static str, u64); 3],
    /// Tokens that the budget holds now.
    pub retry_budget: Option<f64>,
    /// The budget, where something retries.
    pub budget: Option<BudgetStatus>,
    /// What became of slow requests, where they are hedged.
    pub hedges: Option<HedgeStatus>,
    /// What bodies are kept in, where something retries.
    pub body_memory: Option<MemoryStatus>,
    /// What is held back, where something is.
    pub throttle: Option<ThrottleStatus>,
    /// The adaptive limit in force, in milliseconds, for what no route has brought.
    pub timeout_ms: Option<f64>,
    /// The adaptive limit in force for each route.
    pub timeouts: Vec<RouteLimit>,
    /// Each endpoint in use, in the order of the configuration.
    pub endpoints: Vec<EndpointStatus>,
}

/// How long requests of a route may take now.
#[derive(Clone, Debug, Serialize)]
pub struct RouteLimit {
    /// The route's name.
    pub route: String,
    /// From a request sent to its answer's head, in milliseconds.
    pub limit_ms: f64,
}

impl ClusterStatus {
    pub(super) fn of(cluster: &Cluster) -> Self {
        let balance = cluster.balance.stats();
        let endpoints = endpoints(cluster, &balance);
        let (retries, hedges) = cluster.retries();
        let common = cluster.common.get();
        let budget = common.map(|common| BudgetStatus::of(&common.budget.stats()));
        let throttle = common.and_then(|common| common.throttle.as_ref());
        Self {
            name: cluster.name.to_string(),
            cleartext: cluster.tls.is_none(),
            tls: cluster.tls.as_ref().map(TlsStatus::of),
            known: cluster.known,
            ready: endpoints.iter().filter(|endpoint| endpoint.ready).count(),
            ejected: balance.ejected,
            panicking: balance.panicking,
            driver_running: balance.driver_running,
            typical_latency_ms: milliseconds(balance.typical_latency),
            picks: balance.picks,
            repicks: balance.repicks,
            waits: balance.waits,
            probes: balance.probes,
            ejections: cluster.ejections.by_reason(),
            spared: cluster.ejections.spared(),
            retries,
            attempts: attempts(&retries, hedges.as_ref()),
            retry_kinds: common
                .map_or_else(SentAgain::default, |common| common.again.clone())
                .by_kind(),
            retry_budget: budget.as_ref().map(|budget| budget.balance),
            budget,
            hedges: hedges.as_ref().map(HedgeStatus::of),
            body_memory: common.map(|common| MemoryStatus::of(&common.memory)),
            throttle: throttle.map(|throttle| ThrottleStatus::of(&throttle.stats())),
            timeout_ms: cluster
                .timeout
                .as_ref()
                .map(|timeout| milliseconds(timeout.limit())),
            timeouts: cluster.route_limits(),
            endpoints,
        }
    }
}

/// Those that both the balancer and the list of connections know.
fn endpoints(cluster: &Cluster, balance: &Stats<SocketAddr>) -> Vec<EndpointStatus> {
    let known = balance.endpoints.iter().map(|stats| (stats.key, stats));
    let known: HashMap<_, _> = known.collect();
    let connections = cluster.connections.all().into_iter();
    connections
        .filter_map(|connection| {
            let stats = known.get(&connection.address)?;
            Some(EndpointStatus::of(stats, &connection.link))
        })
        .collect()
}

fn attempts(retries: &RetryStats, hedges: Option<&HedgeStats>) -> u64 {
    let hedged = hedges.map_or(0, |hedges| hedges.hedged);
    retries.requests + retries.retries + retries.resent + hedged
}

pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn serialize_counts<S: Serializer>(
    counts: &[(&'static str, u64)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counts.iter().copied())
}

fn serialize_retries<S: Serializer>(
    retries: &RetryStats,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let sent = [
        ("requests", retries.requests),
        ("sent", retries.retries),
        ("resent", retries.resent),
        ("recovered", retries.recovered),
    ];
    serializer.collect_map(sent.into_iter().chain(refused(retries)))
}

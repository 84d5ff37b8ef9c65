use std::{collections::HashMap, net::SocketAddr, time::Duration};

use serde::{Serialize, Serializer};
use tower_balance_p2c::Stats;
use tower_retry_budget::RetryStats;

use super::{Cluster, endpoint_status::EndpointStatus};

/// What a cluster is doing at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterStatus {
    /// Its name.
    pub name: String,
    /// Whether it carries cleartext.
    pub cleartext: bool,
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
    /// Retries that the budget would pay for now.
    pub retry_budget: Option<f64>,
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
        Self {
            name: cluster.name.to_string(),
            cleartext: cluster.cleartext,
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
            retries: cluster.retries(),
            retry_budget: cluster.budget.get().map(|budget| budget.stats().balance),
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
    let counts = [
        ("sent", retries.retries),
        ("resent", retries.resent),
        ("recovered", retries.recovered),
        ("exhausted", retries.exhausted),
        ("not_retryable", retries.not_retryable),
        ("not_replayable", retries.not_replayable),
        ("not_ready", retries.not_ready),
        ("past_deadline", retries.past_deadline),
        ("unwanted", retries.unwanted),
        ("out_of_attempts", retries.out_of_attempts),
    ];
    serialize_counts(&counts, serializer)
}

use std::{net::SocketAddr, time::Duration};

use serde::{Serialize, Serializer};
use tower_balance_p2c::EndpointStats;
use tower_reconnect::State;
use tower_retry_budget::RetryStats;

use super::Cluster;
use crate::endpoint::Link;

/// What a cluster is doing at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterStatus {
    /// Its name.
    pub name: String,
    /// Whether it carries cleartext.
    pub cleartext: bool,
    /// Endpoints that take requests.
    pub ready: usize,
    /// Requests that had to wait for an endpoint.
    pub waits: u64,
    /// What became of failed attempts.
    #[serde(serialize_with = "serialize_retries")]
    pub retries: RetryStats,
    /// Retries that the budget would pay for now.
    pub retry_budget: Option<f64>,
    /// The adaptive limit in force, in milliseconds, for what no route has brought.
    pub timeout_ms: Option<f64>,
    /// The adaptive limit in force for each route.
    pub timeouts: Vec<RouteLimit>,
    /// Each endpoint, in the order of the configuration.
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

/// What one endpoint is doing.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointStatus {
    /// Where it is.
    pub address: SocketAddr,
    /// Of its connection: `idle`, `connecting`, `connected`, `backing off`.
    pub state: &'static str,
    /// Why it is backing off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Connections tried.
    pub dials: u64,
    /// Those of them that failed.
    pub dial_failures: u64,
    /// Whether the balancer would pick it.
    pub ready: bool,
    /// Its share of the traffic, where all are equal.
    pub weight: u32,
    /// Requests sent and not ended.
    pub in_flight: usize,
    /// Smoothed latency of its answers, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Smoothed share of requests that succeed, zero to one.
    pub success_ratio: f64,
    /// What the balancer compares, lower is better: milliseconds of latency, times requests in
    /// flight, over success.
    pub cost: f64,
    /// Requests that it answered or failed.
    pub requests: u64,
    /// Those of them that failed.
    pub failures: u64,
}

impl ClusterStatus {
    pub(super) fn of(cluster: &Cluster) -> Self {
        let balance = cluster.balance.stats();
        let endpoints = cluster.connections.iter().filter_map(|(address, link)| {
            let stats = balance
                .endpoints
                .iter()
                .find(|stats| stats.key == *address)?;
            Some(EndpointStatus::of(stats, link))
        });
        let endpoints: Vec<_> = endpoints.collect();
        Self {
            name: cluster.name.to_string(),
            cleartext: cluster.cleartext,
            ready: endpoints.iter().filter(|endpoint| endpoint.ready).count(),
            waits: balance.waits,
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

impl EndpointStatus {
    fn of<B>(stats: &EndpointStats<SocketAddr>, link: &Link<B>) -> Self {
        let connection_state = link.state();
        let (state, cause) = describe(&connection_state);
        let connection = link.stats();
        Self {
            address: stats.key,
            state,
            cause,
            dials: connection.dials,
            dial_failures: connection.failures,
            // The balancer hears of a lost connection when it next picks it.
            ready: stats.ready && connection_state.is_connected(),
            weight: 1,
            in_flight: stats.in_flight,
            latency_ms: stats.latency.map(milliseconds),
            success_ratio: stats.success,
            cost: stats.cost / 1e6,
            requests: stats.requests,
            failures: stats.failures,
        }
    }
}

fn describe(state: &State) -> (&'static str, Option<String>) {
    match state {
        State::Idle => ("idle", None),
        State::Connecting => ("connecting", None),
        State::Connected { .. } => ("connected", None),
        State::BackingOff { cause, .. } => ("backing off", Some(cause.to_string())),
        _ => ("unknown", None),
    }
}

pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
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
        ("out_of_attempts", retries.out_of_attempts),
    ];
    serializer.collect_map(counts)
}

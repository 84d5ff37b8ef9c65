//! What clusters and their endpoints are doing.

use std::fmt;

use super::Families;
use crate::cluster::{ClusterStatus, EndpointStatus};

impl Families<'_> {
    pub(super) fn clusters(&mut self, clusters: &[ClusterStatus]) -> fmt::Result {
        let gauge = |read: fn(&ClusterStatus) -> Option<f64>| {
            clusters.iter().filter_map(move |cluster| {
                Some(([("cluster", cluster.name.as_str())], read(cluster)?))
            })
        };
        let counter = |read: fn(&ClusterStatus) -> u64| {
            clusters
                .iter()
                .map(move |cluster| ([("cluster", cluster.name.as_str())], read(cluster)))
        };
        self.gauges(
            "cluster_cleartext",
            "1 where a cluster carries cleartext",
            gauge(|cluster| Some(f64::from(u8::from(cluster.cleartext)))),
        )?;
        self.gauges(
            "endpoints_ready",
            "Endpoints that take requests",
            gauge(|cluster| Some(cluster.ready as f64)),
        )?;
        self.counters(
            "endpoint_waits",
            "Requests that had to wait for an endpoint",
            counter(|cluster| cluster.waits),
        )?;
        self.counters(
            "retries",
            "Attempts after the first",
            counter(|cluster| cluster.retries.retries),
        )?;
        self.counters(
            "retries_recovered",
            "Requests that succeeded by a retry",
            counter(|cluster| cluster.retries.recovered),
        )?;
        self.counters(
            "retries_exhausted",
            "Retries that the budget refused",
            counter(|cluster| cluster.retries.exhausted),
        )?;
        self.gauges(
            "retry_budget",
            "Retries that the budget would pay for now",
            gauge(|cluster| cluster.retry_budget),
        )?;
        self.gauges(
            "timeout_seconds",
            "Adaptive limit in force",
            gauge(|cluster| cluster.timeout_ms.map(|ms| ms / 1e3)),
        )?;
        self.gauges(
            "route_timeout_seconds",
            "Adaptive limit in force for a route",
            clusters.iter().flat_map(|cluster| {
                cluster.timeouts.iter().map(|timeout| {
                    let labels = [
                        ("cluster", cluster.name.as_str()),
                        ("route", timeout.route.as_str()),
                    ];
                    (labels, timeout.limit_ms / 1e3)
                })
            }),
        )
    }

    pub(super) fn endpoints(&mut self, clusters: &[ClusterStatus]) -> fmt::Result {
        let each = || {
            clusters.iter().flat_map(|cluster| {
                cluster.endpoints.iter().map(|endpoint| {
                    let labels = [
                        ("cluster", cluster.name.clone()),
                        ("endpoint", endpoint.address.to_string()),
                    ];
                    (labels, endpoint)
                })
            })
        };
        let gauge = |read: fn(&EndpointStatus) -> Option<f64>| {
            each().filter_map(move |(labels, endpoint)| Some((labels, read(endpoint)?)))
        };
        let counter = |read: fn(&EndpointStatus) -> u64| {
            each().map(move |(labels, endpoint)| (labels, read(endpoint)))
        };
        self.counters(
            "endpoint_requests",
            "Requests that an endpoint answered or failed",
            counter(|endpoint| endpoint.requests),
        )?;
        self.counters(
            "endpoint_failures",
            "Those of them that failed",
            counter(|endpoint| endpoint.failures),
        )?;
        self.counters(
            "endpoint_dials",
            "Connections tried",
            counter(|endpoint| endpoint.dials),
        )?;
        self.counters(
            "endpoint_dial_failures",
            "Those of them that failed",
            counter(|endpoint| endpoint.dial_failures),
        )?;
        self.gauges(
            "endpoint_ready",
            "1 where the balancer would pick it",
            gauge(|endpoint| Some(f64::from(u8::from(endpoint.ready)))),
        )?;
        self.gauges(
            "endpoint_in_flight",
            "Requests sent and not ended",
            gauge(|endpoint| Some(endpoint.in_flight as f64)),
        )?;
        self.gauges(
            "endpoint_latency_seconds",
            "Smoothed latency",
            gauge(|endpoint| endpoint.latency_ms.map(|ms| ms / 1e3)),
        )?;
        self.gauges(
            "endpoint_success_ratio",
            "Smoothed share of successes",
            gauge(|endpoint| Some(endpoint.success_ratio)),
        )?;
        self.gauges(
            "endpoint_cost",
            "What the balancer compares, lower is better",
            gauge(|endpoint| Some(endpoint.cost)),
        )
    }
}

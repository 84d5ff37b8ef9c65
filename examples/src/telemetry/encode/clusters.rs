//! What clusters are doing.

use std::fmt;

use super::Families;
use crate::cluster::ClusterStatus;

impl Families<'_> {
    pub(super) fn clusters(&mut self, clusters: &[ClusterStatus]) -> fmt::Result {
        self.sets(clusters)?;
        self.picks(clusters)?;
        self.ejections(clusters)?;
        self.retries(clusters)?;
        self.timeouts(clusters)
    }

    fn sets(&mut self, clusters: &[ClusterStatus]) -> fmt::Result {
        self.gauges(
            "cluster_cleartext",
            "1 where a cluster carries cleartext",
            flags(clusters, |cluster| cluster.cleartext),
        )?;
        self.gauges(
            "endpoints_known",
            "Endpoints that are configured, in this process's subset or not",
            gauges(clusters, |cluster| Some(cluster.known as f64)),
        )?;
        self.gauges(
            "endpoints_ready",
            "Endpoints with a connection that takes requests, ejected or not",
            gauges(clusters, |cluster| Some(cluster.ready as f64)),
        )?;
        self.gauges(
            "endpoints_ejected",
            "Endpoints that are left alone because of their failures",
            gauges(clusters, |cluster| Some(cluster.ejected as f64)),
        )?;
        self.gauges(
            "cluster_panicking",
            "1 while ejection is ignored because too few endpoints could be used",
            flags(clusters, |cluster| cluster.panicking),
        )?;
        self.gauges(
            "cluster_driver_running",
            "1 while the balancer follows its endpoints",
            flags(clusters, |cluster| cluster.driver_running),
        )?;
        self.gauges(
            "cluster_typical_latency_seconds",
            "What an endpoint is taken to need while nothing is known of it",
            gauges(clusters, |cluster| Some(cluster.typical_latency_ms / 1e3)),
        )
    }

    fn picks(&mut self, clusters: &[ClusterStatus]) -> fmt::Result {
        self.counters(
            "endpoint_picks",
            "Requests that were sent to an endpoint",
            counters(clusters, |cluster| cluster.picks),
        )?;
        self.counters(
            "endpoint_repicks",
            "Endpoints that were not ready when they were picked",
            counters(clusters, |cluster| cluster.repicks),
        )?;
        self.counters(
            "endpoint_waits",
            "Requests that had to wait for an endpoint",
            counters(clusters, |cluster| cluster.waits),
        )?;
        self.counters(
            "endpoint_probes",
            "Requests that were to find out whether an ejected endpoint is well again",
            counters(clusters, |cluster| cluster.probes),
        )
    }

    fn ejections(&mut self, clusters: &[ClusterStatus]) -> fmt::Result {
        self.counters(
            "ejections",
            "Endpoints ejected, by reason",
            clusters.iter().flat_map(|cluster| {
                cluster.ejections.iter().map(|&(reason, count)| {
                    let labels = [("cluster", cluster.name.as_str()), ("reason", reason)];
                    (labels, count)
                })
            }),
        )?;
        self.counters(
            "ejections_spared",
            "Endpoints that should have been ejected when too many were, once in a window",
            counters(clusters, |cluster| cluster.spared),
        )
    }

    fn timeouts(&mut self, clusters: &[ClusterStatus]) -> fmt::Result {
        self.gauges(
            "timeout_seconds",
            "Adaptive limit in force",
            gauges(clusters, |cluster| cluster.timeout_ms.map(|ms| ms / 1e3)),
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
}

pub(super) type OfCluster<'a> = [(&'static str, &'a str); 1];

pub(super) fn gauges(
    clusters: &[ClusterStatus],
    read: fn(&ClusterStatus) -> Option<f64>,
) -> impl Iterator<Item = (OfCluster<'_>, f64)> {
    clusters
        .iter()
        .filter_map(move |cluster| Some((labels(cluster), read(cluster)?)))
}

fn flags(
    clusters: &[ClusterStatus],
    read: fn(&ClusterStatus) -> bool,
) -> impl Iterator<Item = (OfCluster<'_>, f64)> {
    clusters
        .iter()
        .map(move |cluster| (labels(cluster), u8::from(read(cluster)).into()))
}

pub(super) fn counters(
    clusters: &[ClusterStatus],
    read: fn(&ClusterStatus) -> u64,
) -> impl Iterator<Item = (OfCluster<'_>, u64)> {
    clusters
        .iter()
        .map(move |cluster| (labels(cluster), read(cluster)))
}

fn labels(cluster: &ClusterStatus) -> OfCluster<'_> {
    [("cluster", cluster.name.as_str())]
}

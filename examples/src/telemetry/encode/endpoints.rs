//! What endpoints are doing.

use std::fmt;

use super::Families;
use crate::cluster::{ClusterStatus, EndpointState, EndpointStatus};

impl Families<'_> {
    pub(super) fn endpoints(&mut self, clusters: &[ClusterStatus]) -> fmt::Result {
        self.work(clusters)?;
        self.endpoint_connections(clusters)?;
        self.states(clusters)?;
        self.costs(clusters)
    }

    fn work(&mut self, clusters: &[ClusterStatus]) -> fmt::Result {
        self.counters(
            "endpoint_requests",
            "Requests that an endpoint answered or failed",
            counters(clusters, |endpoint| endpoint.requests),
        )?;
        self.counters(
            "endpoint_failures",
            "Those of them that failed",
            counters(clusters, |endpoint| endpoint.failures),
        )?;
        self.counters(
            "endpoint_ejections",
            "How often an endpoint was ejected",
            counters(clusters, |endpoint| endpoint.ejections),
        )?;
        self.counters(
            "endpoint_dials",
            "Connections tried",
            counters(clusters, |endpoint| endpoint.connection.dials),
        )?;
        self.counters(
            "endpoint_dial_failures",
            "Those of them that failed",
            counters(clusters, |endpoint| endpoint.connection.dial_failures),
        )
    }

    fn endpoint_connections(&mut self, clusters: &[ClusterStatus]) -> fmt::Result {
        self.gauges(
            "endpoint_connections",
            "Connections to an endpoint that are open",
            gauges(clusters, |endpoint| Some(endpoint.connection.open as f64)),
        )?;
        self.gauges(
            "endpoint_connection_age_seconds",
            "Age of the oldest connection to an endpoint that takes requests",
            gauges(clusters, |endpoint| {
                Some(seconds(endpoint.connection.age_ms?))
            }),
        )?;
        self.gauges(
            "endpoint_next_dial_seconds",
            "In how long an endpoint that fails is dialled again",
            gauges(clusters, |endpoint| {
                Some(seconds(endpoint.connection.next_attempt_ms?))
            }),
        )
    }

    fn states(&mut self, clusters: &[ClusterStatus]) -> fmt::Result {
        self.gauges(
            "endpoint_state",
            "1 for the state that an endpoint is in, 0 for the others",
            each(clusters).flat_map(|(labels, endpoint)| {
                EndpointState::ALL.into_iter().map(move |state| {
                    let [cluster, address] = labels.clone();
                    let labels = [cluster, address, ("state", state.as_str().to_owned())];
                    (labels, u8::from(endpoint.state == state).into())
                })
            }),
        )?;
        self.gauges(
            "endpoint_ready",
            "1 where an endpoint has a connection that takes requests",
            gauges(clusters, |endpoint| Some(u8::from(endpoint.ready).into())),
        )?;
        self.gauges(
            "endpoint_ejected_seconds",
            "For how long an endpoint is still left alone",
            gauges(clusters, |endpoint| Some(seconds(endpoint.ejected_ms?))),
        )?;
        self.gauges(
            "endpoint_weight",
            "An endpoint's share of the requests, in relation to the others'",
            gauges(clusters, |endpoint| Some(endpoint.weight)),
        )
    }

    fn costs(&mut self, clusters: &[ClusterStatus]) -> fmt::Result {
        self.gauges(
            "endpoint_in_flight",
            "Requests sent and not ended",
            gauges(clusters, |endpoint| Some(endpoint.in_flight as f64)),
        )?;
        self.gauges(
            "endpoint_latency_seconds",
            "Smoothed latency",
            gauges(clusters, |endpoint| Some(seconds(endpoint.latency_ms?))),
        )?;
        self.gauges(
            "endpoint_latency_per_place_seconds",
            "What one more request is taken to need for each one in flight",
            gauges(clusters, |endpoint| {
                Some(seconds(endpoint.latency_per_place_ms))
            }),
        )?;
        self.gauges(
            "endpoint_silence_seconds",
            "For how long an answer has been owed and none has come",
            gauges(clusters, |endpoint| Some(seconds(endpoint.silence_ms))),
        )?;
        self.gauges(
            "endpoint_success_ratio",
            "Smoothed share of successes",
            gauges(clusters, |endpoint| Some(endpoint.success_ratio)),
        )?;
        self.gauges(
            "endpoint_cost",
            "What the balancer compares, lower is better",
            gauges(clusters, |endpoint| Some(endpoint.cost)),
        )
    }
}

type OfEndpoint = [(&'static str, String); 2];

fn each(clusters: &[ClusterStatus]) -> impl Iterator<Item = (OfEndpoint, &EndpointStatus)> {
    clusters.iter().flat_map(|cluster| {
        cluster.endpoints.iter().map(|endpoint| {
            let labels = [
                ("cluster", cluster.name.clone()),
                ("endpoint", endpoint.address.to_string()),
            ];
            (labels, endpoint)
        })
    })
}

fn gauges(
    clusters: &[ClusterStatus],
    read: fn(&EndpointStatus) -> Option<f64>,
) -> impl Iterator<Item = (OfEndpoint, f64)> {
    each(clusters).filter_map(move |(labels, endpoint)| Some((labels, read(endpoint)?)))
}

fn counters(
    clusters: &[ClusterStatus],
    read: fn(&EndpointStatus) -> u64,
) -> impl Iterator<Item = (OfEndpoint, u64)> {
    each(clusters).map(move |(labels, endpoint)| (labels, read(endpoint)))
}

fn seconds(milliseconds: f64) -> f64 {
    milliseconds / 1e3
}

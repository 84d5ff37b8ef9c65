//! From counters to OpenMetrics, when somebody asks.

use std::{fmt, sync::Arc, sync::atomic::Ordering::Relaxed};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, text},
    metrics::MetricType,
    registry::Registry,
};
use tower_mtls::{accept::Acceptor, error::Reason};

use super::listener::{Ending, ListenerMetrics};
use crate::cluster::{Cluster, ClusterStatus, EndpointStatus};

/// Everything that `/metrics` shows.
#[derive(Clone, Debug)]
pub struct Scrape {
    listeners: Arc<[ListenerScrape]>,
    clusters: Arc<[Arc<Cluster>]>,
}

/// A listener's numbers, and those of its TLS where it has any.
pub(crate) type ListenerScrape = (Arc<ListenerMetrics>, Option<Acceptor>);

impl Scrape {
    /// Of the listeners and clusters of one proxy.
    pub(crate) fn new(listeners: Vec<ListenerScrape>, clusters: Arc<[Arc<Cluster>]>) -> Self {
        Self {
            listeners: listeners.into(),
            clusters,
        }
    }

    /// The text of `/metrics`.
    ///
    /// # Errors
    ///
    /// Never in practice: formatting into a string.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("proxy");
        registry.register_collector(Box::new(self.clone()));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        families.listeners(&self.listeners)?;
        families.handshakes(&self.listeners)?;
        let clusters: Vec<_> = self
            .clusters
            .iter()
            .map(|cluster| cluster.status())
            .collect();
        families.clusters(&clusters)?;
        families.endpoints(&clusters)
    }
}

struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    fn listeners(&mut self, listeners: &[ListenerScrape]) -> fmt::Result {
        let each = || {
            listeners
                .iter()
                .map(|(metrics, _)| (&**metrics.name(), metrics))
        };
        self.gauges(
            "listener_cleartext",
            "1 where a listener carries cleartext",
            each().map(|(name, metrics)| {
                ([("listener", name)], f64::from(u8::from(metrics.cleartext)))
            }),
        )?;
        self.counters(
            "connections",
            "Client connections accepted",
            each().map(|(name, metrics)| ([("listener", name)], metrics.connections.load(Relaxed))),
        )?;
        self.gauges(
            "connections_open",
            "Client connections open now",
            each().map(|(name, metrics)| {
                let ended = metrics.connections_ended.load(Relaxed);
                (
                    [("listener", name)],
                    metrics.connections.load(Relaxed).saturating_sub(ended) as f64,
                )
            }),
        )?;
        self.counters(
            "connections_failed",
            "Client connections that broke, or broke the protocol",
            each().map(|(name, metrics)| {
                let failed = metrics.connections_failed.load(Relaxed);
                ([("listener", name)], failed)
            }),
        )?;
        self.counters(
            "proxy_protocol_refused",
            "Connections of trusted peers that ended within their PROXY protocol header",
            each().map(|(name, metrics)| {
                let refused = metrics.proxy_protocol_refused.load(Relaxed);
                ([("listener", name)], refused)
            }),
        )?;
        self.counters(
            "requests",
            "Requests that came",
            each().map(|(name, metrics)| ([("listener", name)], metrics.began.load(Relaxed))),
        )?;
        self.counters(
            "responses",
            "Responses passed on, by status",
            each().flat_map(|(name, metrics)| {
                let statuses = metrics.statuses();
                statuses.map(move |(status, count)| {
                    (
                        [
                            ("listener", name.to_owned()),
                            ("status", status.to_string()),
                        ],
                        count,
                    )
                })
            }),
        )?;
        self.counters(
            "exchanges_ended",
            "Exchanges that are over, by how they ended",
            each().flat_map(|(name, metrics)| {
                let endings = Ending::ALL.into_iter().zip(&metrics.endings);
                endings.map(move |(ending, count)| {
                    (
                        [("listener", name), ("ending", ending.as_str())],
                        count.load(Relaxed),
                    )
                })
            }),
        )?;
        self.counters(
            "limits_reached",
            "How often a key of [limits] came into force",
            each().flat_map(|(name, metrics)| {
                let counts = metrics.limits.counts();
                counts.map(move |(limit, count)| {
                    ([("listener", name), ("limit", limit.as_str())], count)
                })
            }),
        )?;
        self.counters(
            "route_requests",
            "Requests that a route took",
            each().flat_map(|(listener, metrics)| {
                metrics.routes.iter().map(move |route| {
                    let labels = [("listener", listener), ("route", &*route.name)];
                    (labels, route.requests.load(Relaxed))
                })
            }),
        )?;
        self.tunnels(listeners)?;
        self.latencies(listeners)
    }

    fn tunnels(&mut self, listeners: &[ListenerScrape]) -> fmt::Result {
        let each = || {
            listeners
                .iter()
                .map(|(metrics, _)| ([("listener", &**metrics.name())], metrics))
        };
        self.counters(
            "tunnels",
            "Connections that switched to another protocol",
            each().map(|(labels, metrics)| (labels, metrics.tunnels.load(Relaxed))),
        )?;
        self.gauges(
            "tunnels_open",
            "Those of them that are open now",
            each().map(|(labels, metrics)| {
                let ended = metrics.tunnels_ended.load(Relaxed);
                let open = metrics.tunnels.load(Relaxed).saturating_sub(ended);
                (labels, open as f64)
            }),
        )
    }

    fn latencies(&mut self, listeners: &[ListenerScrape]) -> fmt::Result {
        let help = "From a request's head to its response's head";
        let name = "response_latency_seconds";
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (metrics, _) in listeners {
            let reading = metrics.latency.read();
            let labels = [("listener", &**metrics.name())];
            let mut metric = family.encode_family(&labels)?;
            metric.encode_histogram::<[(&str, &str); 0]>(
                reading.sum_seconds,
                reading.count,
                &reading.buckets,
                None,
            )?;
        }
        Ok(())
    }

    fn handshakes(&mut self, listeners: &[ListenerScrape]) -> fmt::Result {
        let stats: Vec<_> = listeners
            .iter()
            .filter_map(|(metrics, acceptor)| Some((&**metrics.name(), acceptor.as_ref()?.stats())))
            .collect();
        self.counters(
            "handshakes",
            "TLS handshakes of clients, by result",
            stats.iter().flat_map(|(name, stats)| {
                let failed = Reason::ALL
                    .iter()
                    .copied()
                    .map(|reason| (reason.as_str(), stats.failed(reason)));
                let results = [
                    ("succeeded", stats.succeeded()),
                    ("cancelled", stats.cancelled()),
                ];
                let results = results.into_iter().chain(failed);
                results.map(|(result, count)| ([("listener", *name), ("result", result)], count))
            }),
        )?;
        self.gauges(
            "handshakes_in_progress",
            "TLS handshakes of clients that run now",
            stats
                .iter()
                .map(|(name, stats)| ([("listener", *name)], stats.in_progress() as f64)),
        )
    }

    fn clusters(&mut self, clusters: &[ClusterStatus]) -> fmt::Result {
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

    fn endpoints(&mut self, clusters: &[ClusterStatus]) -> fmt::Result {
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

    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (L, u64)>,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Counter, values, |metric, value| {
            metric.encode_counter::<[(&str, &str); 0], _, f64>(&value, None)
        })
    }

    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (L, f64)>,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Gauge, values, |metric, value| {
            metric.encode_gauge(&value)
        })
    }

    fn family<L: EncodeLabelSet, V>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        values: impl Iterator<Item = (L, V)>,
        encode: impl Fn(&mut MetricEncoder<'_>, V) -> fmt::Result,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in values {
            encode(&mut family.encode_family(&labels)?, value)?;
        }
        Ok(())
    }
}

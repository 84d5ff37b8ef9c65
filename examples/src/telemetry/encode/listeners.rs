//! What happened at the listeners.

use std::{fmt, sync::Arc, sync::atomic::Ordering::Relaxed};

use super::{Families, ListenerScrape};
use crate::telemetry::listener::{Ending, ListenerMetrics};

impl Families<'_> {
    pub(super) fn listeners(&mut self, listeners: &[ListenerScrape]) -> fmt::Result {
        self.connections(listeners)?;
        self.exchanges(listeners)?;
        self.limits(listeners)?;
        self.routes(listeners)?;
        self.tunnels(listeners)?;
        self.latencies(listeners)
    }

    fn connections(&mut self, listeners: &[ListenerScrape]) -> fmt::Result {
        let each = || each(listeners);
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
        )
    }

    fn exchanges(&mut self, listeners: &[ListenerScrape]) -> fmt::Result {
        let each = || each(listeners);
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
        )
    }

    fn limits(&mut self, listeners: &[ListenerScrape]) -> fmt::Result {
        self.counters(
            "limits_reached",
            "How often a key of [limits] came into force",
            each(listeners).flat_map(|(name, metrics)| {
                let counts = metrics.limits.counts();
                counts.map(move |(limit, count)| {
                    ([("listener", name), ("limit", limit.as_str())], count)
                })
            }),
        )
    }

    fn routes(&mut self, listeners: &[ListenerScrape]) -> fmt::Result {
        self.counters(
            "route_requests",
            "Requests that a route took",
            each(listeners).flat_map(|(listener, metrics)| {
                metrics.routes.iter().map(move |route| {
                    let labels = [("listener", listener), ("route", &*route.name)];
                    (labels, route.requests.load(Relaxed))
                })
            }),
        )
    }

    fn tunnels(&mut self, listeners: &[ListenerScrape]) -> fmt::Result {
        let each = || each(listeners).map(|(name, metrics)| ([("listener", name)], metrics));
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
        self.histograms(
            "response_latency_seconds",
            "From a request's head to its response's head",
            listeners.iter().map(|ListenerScrape { metrics, .. }| {
                let labels = [("listener", &**metrics.name())];
                (labels, metrics.latency.read())
            }),
        )
    }
}

fn each(listeners: &[ListenerScrape]) -> impl Iterator<Item = (&str, &Arc<ListenerMetrics>)> {
    listeners
        .iter()
        .map(|listener| (&**listener.metrics.name(), &listener.metrics))
}

//! From counters to OpenMetrics, when somebody asks.

mod clusters;
mod credentials;
mod endpoints;
mod listeners;
mod retries;
mod upstreams;

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, text},
    metrics::MetricType,
    registry::Registry,
};
use tower_mtls::accept::Acceptor;

use super::{histogram::Reading, listener::ListenerMetrics};
use crate::{authorize::AuthorizeClients, cluster::Cluster, credentials::Sources};

/// Everything that `/metrics` shows.
#[derive(Clone, Debug)]
pub struct Scrape {
    listeners: Arc<[ListenerScrape]>,
    clusters: Arc<[Arc<Cluster>]>,
    sources: Sources,
}

/// A listener's numbers.
#[derive(Debug)]
pub(crate) struct ListenerScrape {
    pub(crate) metrics: Arc<ListenerMetrics>,
    /// Where it has TLS.
    pub(crate) acceptor: Option<Acceptor>,
    /// Where clients have identities.
    pub(crate) authorize: Option<AuthorizeClients>,
}

impl Scrape {
    /// Of the listeners, clusters and certificates of one proxy.
    pub(crate) fn new(
        listeners: Vec<ListenerScrape>,
        clusters: Arc<[Arc<Cluster>]>,
        sources: Sources,
    ) -> Self {
        Self {
            listeners: listeners.into(),
            clusters,
            sources,
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
        let clusters: Vec<_> = self
            .clusters
            .iter()
            .map(|cluster| cluster.status())
            .collect();
        families.clusters(&clusters)?;
        families.upstreams(&self.clusters)?;
        families.endpoints(&clusters)?;
        families.credentials(&self.sources)?;
        families.identities(&self.listeners, &clusters)
    }
}

struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
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

    fn histograms<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (L, Reading)>,
    ) -> fmt::Result {
        let kind = MetricType::Histogram;
        self.family(name, help, kind, values, |metric, reading| {
            let (sum, count) = (reading.sum_seconds, reading.count);
            metric.encode_histogram::<[(&str, &str); 0]>(sum, count, &reading.buckets, None)
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

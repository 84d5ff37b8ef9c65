//! What became of the dials and connections to endpoints.

use std::{fmt, sync::Arc};

use super::Families;
use crate::cluster::Cluster;

impl Families<'_> {
    pub(super) fn upstreams(&mut self, clusters: &[Arc<Cluster>]) -> fmt::Result {
        self.counters(
            "upstream_dials",
            "Dials to endpoints that are over, by result",
            clusters.iter().flat_map(|cluster| {
                let dials = cluster.upstream().dials();
                dials.map(|(result, count)| {
                    let labels = [("cluster", &**cluster.name()), ("result", result.as_str())];
                    (labels, count)
                })
            }),
        )?;
        self.counters(
            "upstream_connections_unstable",
            "Connections to endpoints that died before they were stable",
            clusters.iter().map(|cluster| {
                let unstable = cluster.upstream().unstable_connections();
                ([("cluster", &**cluster.name())], unstable)
            }),
        )?;
        self.histograms(
            "upstream_connection_duration_seconds",
            "How old connections to endpoints were when they ended",
            clusters.iter().map(|cluster| {
                let labels = [("cluster", &**cluster.name())];
                (labels, cluster.upstream().durations().read())
            }),
        )
    }
}

//! What retries, hedges and the throttle have done, and what they cost.

use std::fmt;

use super::{
    Families,
    clusters::{counters, gauges},
};
use crate::cluster::{BudgetStatus, ClusterStatus, HedgeStatus, KindStatus, refused};

impl Families<'_> {
    pub(super) fn retries(&mut self, clusters: &[ClusterStatus]) -> fmt::Result {
        self.attempts(clusters)?;
        self.budgets(clusters)?;
        self.prices(clusters)?;
        self.hedges(clusters)?;
        self.bodies_and_throttles(clusters)
    }

    fn attempts(&mut self, clusters: &[ClusterStatus]) -> fmt::Result {
        self.counters(
            "attempts",
            "First attempts, retries, resends and hedges",
            counters(clusters, |cluster| cluster.attempts),
        )?;
        self.counters(
            "retries",
            "Attempts after one that failed, by what was wrong with it",
            by(clusters, "kind", |cluster| cluster.retry_kinds),
        )?;
        self.counters(
            "retries_refused",
            "Attempts that called for another and got none, by reason",
            by(clusters, "reason", |cluster| refused(&cluster.retries)),
        )?;
        self.counters(
            "resends",
            "Requests sent again because they were not sent, or an endpoint had not processed them",
            counters(clusters, |cluster| cluster.retries.resent),
        )?;
        self.counters(
            "retries_recovered",
            "Requests that succeeded by a retry",
            counters(clusters, |cluster| cluster.retries.recovered),
        )?;
        self.counters(
            "retries_exhausted",
            "Retries that the budget refused",
            counters(clusters, |cluster| cluster.retries.exhausted),
        )
    }

    fn budgets(&mut self, clusters: &[ClusterStatus]) -> fmt::Result {
        self.gauges(
            "retry_budget",
            "Tokens that the budget holds",
            gauges(clusters, |cluster| cluster.retry_budget),
        )?;
        self.gauges(
            "retry_budget_cap",
            "Tokens that can be saved, by the traffic of the window",
            gauges(clusters, |cluster| Some(cluster.budget.as_ref()?.cap)),
        )?;
        self.gauges(
            "retry_budget_success_ratio",
            "Share of successes in the window",
            gauges(clusters, |cluster| cluster.budget.as_ref()?.success_ratio),
        )?;
        self.counters(
            "retry_budget_refunds",
            "Retries and hedges that got their tokens back, because they were never sent",
            of_budgets(clusters).map(|(cluster, budget)| ([("cluster", cluster)], budget.refunded)),
        )
    }

    fn prices(&mut self, clusters: &[ClusterStatus]) -> fmt::Result {
        self.gauges(
            "retry_budget_price",
            "Tokens that a retry costs now, by kind",
            of_kinds(clusters).map(|(labels, kind)| (labels, kind.price)),
        )?;
        self.counters(
            "retry_budget_grants",
            "Retries and hedges that the budget paid for, by kind",
            of_kinds(clusters).map(|(labels, kind)| (labels, kind.granted)),
        )?;
        self.counters(
            "retry_budget_refusals",
            "Retries and hedges that the budget did not pay for, by kind and reason",
            of_kinds(clusters).flat_map(|([cluster, name], kind)| {
                let labels = move |reason| [cluster, name, ("reason", reason)];
                [
                    (labels("empty"), kind.refused_empty),
                    (labels("dearer"), kind.refused_dearer),
                ]
            }),
        )
    }

    fn hedges(&mut self, clusters: &[ClusterStatus]) -> fmt::Result {
        self.counters(
            "hedges",
            "Second attempts sent beside slow first ones",
            hedges(clusters).map(|(cluster, hedges)| ([("cluster", cluster)], hedges.sent)),
        )?;
        self.counters(
            "hedges_ended",
            "Hedged requests by which attempt answered, or neither",
            hedges(clusters).flat_map(|(cluster, hedges)| {
                let labels = move |winner| [("cluster", cluster), ("winner", winner)];
                [
                    (labels("first"), hedges.won_first),
                    (labels("second"), hedges.won_second),
                    (labels("neither"), hedges.failed),
                ]
            }),
        )?;
        self.counters(
            "hedges_refused",
            "Slow requests without a second attempt, by reason",
            hedges(clusters).flat_map(|(cluster, hedges)| {
                let labels = move |reason| [("cluster", cluster), ("reason", reason)];
                [
                    (labels("exhausted"), hedges.exhausted),
                    (labels("not_replayable"), hedges.not_replayable),
                    (labels("not_ready"), hedges.not_ready),
                ]
            }),
        )?;
        self.gauges(
            "hedge_delay_seconds",
            "For how long a first attempt is waited for, of all routes the longest",
            gauges(clusters, |cluster| {
                Some(cluster.hedges.as_ref()?.delay_ms? / 1e3)
            }),
        )
    }

    fn bodies_and_throttles(&mut self, clusters: &[ClusterStatus]) -> fmt::Result {
        let bodies = || {
            let bodies = |cluster| Some((name(cluster), cluster.body_memory.as_ref()?));
            clusters.iter().filter_map(bodies)
        };
        self.gauges(
            "retry_body_bytes",
            "Bytes of bodies that are kept to be sent again",
            bodies().map(|(cluster, memory)| (cluster, memory.used as f64)),
        )?;
        self.counters(
            "retry_body_refusals",
            "Bodies for which there was no memory left",
            bodies().map(|(cluster, memory)| (cluster, memory.refused)),
        )?;
        let throttles = || {
            let throttle = |cluster| Some((name(cluster), cluster.throttle.as_ref()?));
            clusters.iter().filter_map(throttle)
        };
        self.counters(
            "throttle_held",
            "Requests held back because endpoints accept too few",
            throttles().map(|(cluster, throttle)| (cluster, throttle.held)),
        )?;
        self.gauges(
            "throttle_probability",
            "How likely the next request is to be held back",
            throttles().map(|(cluster, throttle)| (cluster, throttle.probability)),
        )
    }
}

/// Counts that have a name each.
fn by<'a, const N: usize>(
    clusters: &'a [ClusterStatus],
    label: &'static str,
    counts: fn(&ClusterStatus) -> [(&'static str, u64); N],
) -> impl Iterator<Item = ([(&'static str, &'a str); 2], u64)> {
    clusters.iter().flat_map(move |cluster| {
        let [of_cluster] = name(cluster);
        let labels = move |(name, count)| ([of_cluster, (label, name)], count);
        counts(cluster).into_iter().map(labels)
    })
}

fn of_budgets(clusters: &[ClusterStatus]) -> impl Iterator<Item = (&str, &BudgetStatus)> {
    let budgets = clusters.iter();
    budgets.filter_map(|cluster| Some((&*cluster.name, cluster.budget.as_ref()?)))
}

type OfKind<'a> = [(&'static str, &'a str); 2];

fn of_kinds(clusters: &[ClusterStatus]) -> impl Iterator<Item = (OfKind<'_>, &KindStatus)> {
    of_budgets(clusters).flat_map(|(cluster, budget)| {
        let labels = move |kind: &KindStatus| [("cluster", cluster), ("kind", kind.kind)];
        budget.kinds.iter().map(move |kind| (labels(kind), kind))
    })
}

fn hedges(clusters: &[ClusterStatus]) -> impl Iterator<Item = (&str, &HedgeStatus)> {
    let hedges = clusters.iter();
    hedges.filter_map(|cluster| Some((&*cluster.name, cluster.hedges.as_ref()?)))
}

fn name(cluster: &ClusterStatus) -> [(&'static str, &str); 1] {
    [("cluster", &cluster.name)]
}

//! Who we are, whom we have met, and who was refused.

use std::{fmt, time::SystemTime};

use tower_mtls::{
    Stats,
    authorize::Stats as Decisions,
    error::{DenyReason, Failure, Reason},
};

use super::{Families, ListenerScrape};
use crate::{cluster::ClusterStatus, credentials::Sources};

impl Families<'_> {
    pub(super) fn credentials(&mut self, sources: &Sources) -> fmt::Result {
        self.gauges(
            "certificate_not_after_seconds",
            "When our own certificate expires, in seconds since 1970",
            sources.stats().filter_map(|(source, stats, _)| {
                let not_after = stats.not_after()?;
                let since = not_after.duration_since(SystemTime::UNIX_EPOCH);
                Some((
                    [("source", source)],
                    since.unwrap_or_default().as_secs_f64(),
                ))
            }),
        )?;
        self.counters(
            "rotations",
            "Changes of certificates, keys, bundles and revocation lists, by result",
            sources.stats().flat_map(|(source, stats, _)| {
                let failed = Failure::ALL
                    .iter()
                    .map(move |failure| (failure.as_str(), stats.failed(*failure)));
                let results = std::iter::once(("succeeded", stats.rotations())).chain(failed);
                results
                    .map(move |(result, count)| ([("source", source), ("result", result)], count))
            }),
        )?;
        self.gauges(
            "rotation_failing",
            "1 while the files are bad, and what was there before is in force",
            sources.stats().map(|(source, _, is_failing)| {
                ([("source", source)], f64::from(u8::from(is_failing)))
            }),
        )
    }

    pub(super) fn identities(
        &mut self,
        listeners: &[ListenerScrape],
        clusters: &[ClusterStatus],
    ) -> fmt::Result {
        let of_listeners = listeners.iter().filter_map(|listener| {
            let stats = listener.acceptor.as_ref()?.stats();
            Some(("listener", &**listener.metrics.name(), stats))
        });
        let of_listeners: Vec<_> = of_listeners.collect();
        let of_clusters = clusters.iter().filter_map(|cluster| {
            let stats = cluster.tls.as_ref()?.stats;
            Some(("cluster", cluster.name.as_str(), stats))
        });
        let of_clusters: Vec<_> = of_clusters.collect();
        self.clients_handshakes(&of_listeners)?;
        self.endpoints_handshakes(&of_clusters)?;
        self.decisions(listeners)
    }

    fn clients_handshakes(&mut self, sides: &[Side<'_>]) -> fmt::Result {
        self.counters(
            "handshakes",
            "TLS handshakes of clients, by result",
            results(sides),
        )?;
        self.gauges(
            "handshakes_in_progress",
            "TLS handshakes of clients that run now",
            each(sides, |stats| stats.in_progress() as f64),
        )?;
        self.gauges(
            "handshakes_waiting",
            "Client connections that wait for a first message or for a handshake's place",
            each(sides, |stats| stats.waiting() as f64),
        )?;
        self.counters(
            "clients_no_longer_valid",
            "Open client connections whose certificate ceased to be accepted, by reason",
            ended(sides),
        )
    }

    fn endpoints_handshakes(&mut self, sides: &[Side<'_>]) -> fmt::Result {
        self.counters(
            "endpoint_handshakes",
            "TLS handshakes with endpoints, by result",
            results(sides),
        )?;
        self.counters(
            "endpoints_no_longer_valid",
            "Open connections to endpoints whose certificate ceased to be accepted, by reason",
            ended(sides),
        )
    }

    fn decisions(&mut self, listeners: &[ListenerScrape]) -> fmt::Result {
        let checked = listeners.iter().filter_map(|listener| {
            let stats = listener.authorize.as_ref()?.stats();
            Some((&**listener.metrics.name(), stats))
        });
        let checked: Vec<_> = checked.collect();
        let by_reason = |count: fn(&Decisions, DenyReason) -> u64| {
            checked.iter().flat_map(move |(listener, stats)| {
                let reasons = DenyReason::ALL.iter();
                reasons.map(move |reason| {
                    let labels = [("listener", *listener), ("reason", reason.as_str())];
                    (labels, count(stats, *reason))
                })
            })
        };
        self.counters(
            "requests_denied",
            "Requests of clients that are not allowed, by reason",
            by_reason(Decisions::denied),
        )?;
        self.counters(
            "requests_audited",
            "Requests that were let in only because `allow` is tried by `audit`, by reason",
            by_reason(Decisions::audited),
        )
    }
}

/// The label and the name of a listener or cluster, and its handshakes.
type Side<'a> = (&'static str, &'a str, Stats);

fn results<'a>(sides: &'a [Side<'_>]) -> impl Iterator<Item = ([(&'static str, &'a str); 2], u64)> {
    sides.iter().flat_map(|(label, name, stats)| {
        let failed = Reason::ALL
            .iter()
            .map(|reason| (reason.as_str(), stats.failed(*reason)));
        let results = [
            ("succeeded", stats.succeeded()),
            ("cancelled", stats.cancelled()),
        ];
        let results = results.into_iter().chain(failed);
        results.map(move |(result, count)| ([(*label, *name), ("result", result)], count))
    })
}

fn ended<'a>(sides: &'a [Side<'_>]) -> impl Iterator<Item = ([(&'static str, &'a str); 2], u64)> {
    sides.iter().flat_map(|(label, name, stats)| {
        let reasons = Reason::ALL.iter();
        reasons.map(move |reason| {
            let labels = [(*label, *name), ("reason", reason.as_str())];
            (labels, stats.ended(*reason))
        })
    })
}

fn each<'a>(
    sides: &'a [Side<'_>],
    read: fn(&Stats) -> f64,
) -> impl Iterator<Item = ([(&'static str, &'a str); 1], f64)> {
    sides
        .iter()
        .map(move |(label, name, stats)| ([(*label, *name)], read(stats)))
}

use std::{net::SocketAddr, time::Duration};

use serde::{Serialize, Serializer};
use tower_balance_p2c::{EndpointStats, Health};
use tower_reconnect::State;

use super::status::milliseconds;
use crate::endpoint::Link;

/// What one endpoint is doing.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointStatus {
    /// Where it is.
    pub address: SocketAddr,
    /// Whether it gets requests.
    pub state: EndpointState,
    /// For how long it is still left alone, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ejected_ms: Option<f64>,
    /// How many requests at a time it gets on probation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_a_time: Option<u32>,
    /// The share of requests that it is considered for; less than one in its slow start.
    pub share: f64,
    /// Of its connection: `idle`, `connecting`, `connected`, `backing off`.
    pub connection: &'static str,
    /// Why it is backing off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Who was met when it last connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Connections tried.
    pub dials: u64,
    /// Those of them that failed.
    pub dial_failures: u64,
    /// Whether its connection takes requests.
    pub ready: bool,
    /// Its share of the requests, in relation to the others'.
    pub weight: f64,
    /// Its zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Requests sent and not ended.
    pub in_flight: usize,
    /// Smoothed latency of its answers, in milliseconds.
    pub latency_ms: Option<f64>,
    /// What one more request is taken to need for each one in flight, in milliseconds.
    pub latency_per_place_ms: f64,
    /// For how long it has owed an answer without giving any, in milliseconds.
    pub silence_ms: f64,
    /// Smoothed share of requests that succeed, zero to one.
    pub success_ratio: f64,
    /// What the balancer compares, lower is better: milliseconds of latency, times requests in
    /// flight, over the third power of success.
    pub cost: f64,
    /// Requests that it answered or failed.
    pub requests: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// How often it was ejected.
    pub ejections: u64,
}

/// Whether an endpoint gets requests, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointState {
    /// It does.
    Ready,
    /// It has no connection that takes any.
    NotReady,
    /// It is left alone because of its failures.
    Ejected,
    /// It has got the one that tells whether it is well again.
    Probing,
    /// It is well again, and gets few at a time.
    Probation,
    /// It has joined others, and gets more and more.
    SlowStart,
}

impl EndpointStatus {
    pub(super) fn of<B>(stats: &EndpointStats<SocketAddr>, link: &Link<B>) -> Self {
        let connection_state = link.state();
        let (connection, cause) = describe(&connection_state);
        let dials = link.stats();
        // The balancer hears of a lost connection when it next picks it.
        let ready = stats.ready && connection_state.is_connected();
        Self {
            address: stats.key,
            state: EndpointState::of(stats, ready),
            ejected_ms: match stats.health {
                Health::Ejected { remaining } => Some(milliseconds(remaining)),
                _ => None,
            },
            at_a_time: match stats.health {
                Health::Probation { at_a_time } => Some(at_a_time),
                _ => None,
            },
            share: stats.share,
            connection,
            cause,
            peer: link.peer().map(|peer| peer.to_string()),
            dials: dials.dials,
            dial_failures: dials.failures,
            ready,
            weight: stats.weight,
            zone: stats.zone.as_deref().map(str::to_owned),
            in_flight: stats.in_flight,
            latency_ms: stats.latency.map(milliseconds),
            latency_per_place_ms: milliseconds(stats.latency_per_place),
            silence_ms: milliseconds(stats.silence),
            success_ratio: stats.success,
            cost: stats.cost / NANOS_PER_MILLI,
            requests: stats.requests,
            failures: stats.failures,
            ejections: stats.ejections,
        }
    }
}

impl EndpointState {
    /// All that there are.
    pub const ALL: [Self; 6] = [
        Self::Ready,
        Self::NotReady,
        Self::Ejected,
        Self::Probing,
        Self::Probation,
        Self::SlowStart,
    ];

    fn of(stats: &EndpointStats<SocketAddr>, ready: bool) -> Self {
        match stats.health {
            Health::Ejected { .. } => Self::Ejected,
            Health::Probing => Self::Probing,
            _ if !ready => Self::NotReady,
            Health::Probation { .. } => Self::Probation,
            _ if stats.share < 1.0 => Self::SlowStart,
            _ => Self::Ready,
        }
    }

    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotReady => "not ready",
            Self::Ejected => "ejected",
            Self::Probing => "probing",
            Self::Probation => "probation",
            Self::SlowStart => "slow start",
        }
    }
}

impl Serialize for EndpointState {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
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

const NANOS_PER_MILLI: f64 = Duration::from_millis(1).as_nanos() as f64;

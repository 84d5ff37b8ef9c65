use serde::Serialize;
use tokio::time::Instant;
use tower_reconnect::State;

use super::status::milliseconds;
use crate::endpoint::{Link, in_full};

/// What the connections to one endpoint are doing.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConnectionStatus {
    /// `idle`, `connecting`, `connected` or `backing off`.
    #[serde(rename = "connection")]
    pub state: &'static str,
    /// Why it is backing off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// How many dials and young connections have failed since the last that was stable, while it
    /// is backing off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_in_a_row: Option<u32>,
    /// In how long it is dialled again, in milliseconds, while it is backing off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_ms: Option<f64>,
    /// Why a dial failed, or a connection died young, the last time that one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
    /// How long ago that was, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure_ms_ago: Option<f64>,
    /// Connections that are open, those included that end with what is in flight.
    #[serde(rename = "connections")]
    pub open: u64,
    /// How old the oldest connection is that takes requests, in milliseconds.
    #[serde(rename = "connection_age_ms", skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<f64>,
    /// Who was met when it last connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Connections tried.
    pub dials: u64,
    /// Those of them that failed.
    pub dial_failures: u64,
}

impl ConnectionStatus {
    pub(super) fn of<B>(link: &Link<B>) -> Self {
        let (log, now) = (link.log(), Instant::now());
        let mut status = Self::of_state(&link.state(), now);
        if let Some(last) = log.last_failure() {
            status.last_failure = Some(last.cause.to_string());
            status.last_failure_ms_ago = Some(between(last.at, now));
        }
        status.open = log.open();
        status.peer = log.peer().map(|peer| peer.to_string());
        status.dials = log.dials();
        status.dial_failures = log.failures();
        status
    }

    fn of_state(state: &State, now: Instant) -> Self {
        let in_a_word = |state| Self {
            state,
            ..Self::default()
        };
        match state {
            State::Idle => in_a_word("idle"),
            State::Connecting => in_a_word("connecting"),
            State::Connected { since, .. } => Self {
                age_ms: Some(between(*since, now)),
                ..in_a_word("connected")
            },
            State::BackingOff {
                cause,
                until,
                failures,
                ..
            } => Self {
                cause: Some(in_full(&**cause)),
                failed_in_a_row: Some(*failures),
                next_attempt_ms: Some(between(now, *until)),
                ..in_a_word("backing off")
            },
            _ => in_a_word("unknown"),
        }
    }
}

fn between(then: Instant, now: Instant) -> f64 {
    milliseconds(now.saturating_duration_since(then))
}

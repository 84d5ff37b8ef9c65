//! A table for each of the other layers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::value;

/// A backoff's two ends.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BackoffConfig {
    /// The first delay, at the most.
    #[serde(deserialize_with = "value::positive_duration")]
    pub base: Duration,
    /// The longest delay.
    #[serde(deserialize_with = "value::positive_duration")]
    pub max: Duration,
}

/// `[cluster.timeout]`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutConfig {
    /// The shortest limit.
    #[serde(deserialize_with = "value::positive_duration")]
    pub min: Duration,
    /// The longest limit.
    #[serde(deserialize_with = "value::positive_duration")]
    pub max: Duration,
    /// The limit until there are enough samples.
    #[serde(deserialize_with = "value::positive_duration")]
    pub initial: Duration,
    /// One limit for ever, instead of adapting.
    #[serde(deserialize_with = "value::some_duration")]
    pub fixed: Option<Duration>,
    /// Between two pieces of a response's body.
    #[serde(deserialize_with = "value::positive_duration")]
    pub body_idle: Duration,
}

/// `[cluster.reconnect]`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReconnectConfig {
    /// Over the whole of connect: TCP, TLS, HTTP handshake.
    #[serde(deserialize_with = "value::positive_duration")]
    pub connect_timeout: Duration,
    /// Between two dials that failed.
    pub backoff: BackoffConfig,
    /// Uptime after which the backoff starts anew.
    #[serde(deserialize_with = "value::positive_duration")]
    pub stable_after: Duration,
    /// By how much a dial that follows no failure is put off at the most; zero: not at all.
    #[serde(deserialize_with = "value::duration")]
    pub first_dial_jitter: Duration,
    /// HTTP/1 dials to an endpoint at once, while none fails.
    #[serde(deserialize_with = "value::positive")]
    pub max_dials: usize,
    /// Whether a connection that has ended is made again before a request needs it.
    pub eager: bool,
    /// Connections per endpoint. HTTP/2 needs a second one only when the streams of the first have
    /// run out, or for the moment in which it replaces one that is too old.
    #[serde(deserialize_with = "value::positive")]
    pub max_connections: usize,
    /// Requests per endpoint that wait for a connection, or for a stream of one.
    pub max_pending: usize,
    /// The age, less up to a tenth, at which a connection takes no more requests.
    #[serde(deserialize_with = "value::pace")]
    pub max_age: Duration,
    /// How long a connection is kept unused; the last HTTP/2 one is always kept.
    #[serde(deserialize_with = "value::pace")]
    pub idle: Duration,
    /// Between two HTTP/2 PINGs of a connection in use.
    #[serde(deserialize_with = "value::keepalive")]
    pub keepalive: Duration,
}

impl ReconnectConfig {
    /// For connections beside one that is there: there are none before somebody needs them, and
    /// who does is not put off.
    pub(crate) fn for_further(self) -> Self {
        Self {
            first_dial_jitter: Duration::ZERO,
            eager: false,
            ..self
        }
    }
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self {
            min: Duration::from_millis(10),
            max: Duration::from_secs(10),
            initial: Duration::from_secs(1),
            fixed: None,
            body_idle: Duration::from_secs(60),
        }
    }
}

impl Default for ReconnectConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            backoff: BackoffConfig {
                base: Duration::from_millis(125),
                max: Duration::from_secs(8),
            },
            stable_after: Duration::from_secs(5),
            first_dial_jitter: Duration::ZERO,
            max_dials: 64,
            eager: false,
            max_connections: 512,
            max_pending: 1024,
            max_age: Duration::from_secs(600),
            idle: Duration::from_secs(90),
            keepalive: Duration::from_secs(30),
        }
    }
}

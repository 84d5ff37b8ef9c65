use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::value::{self, Size};

/// What one process will take on.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Client connections at once; further ones wait in the accept backlog.
    #[serde(deserialize_with = "value::positive")]
    pub connections: usize,
    /// Requests in flight; more are shed with 503.
    #[serde(deserialize_with = "value::positive")]
    pub requests: usize,
    /// Bytes of one request's head.
    #[serde(deserialize_with = "value::header_bytes")]
    pub header_bytes: Size,
    /// Header fields of one request.
    #[serde(deserialize_with = "value::field_count")]
    pub header_count: usize,
    /// Bytes of one request's body; zero: no limit.
    pub body_bytes: Size,
    /// From the first byte of a head to its last.
    #[serde(deserialize_with = "value::pace")]
    pub header_timeout: Duration,
    /// Between two pieces of a request's body.
    #[serde(deserialize_with = "value::pace")]
    pub body_idle: Duration,
    /// Between two requests of a connection.
    #[serde(deserialize_with = "value::pace")]
    pub idle_timeout: Duration,
    /// Age at which a client connection is ended gracefully, less up to a tenth.
    #[serde(deserialize_with = "value::pace")]
    pub connection_age: Duration,
    /// Concurrent HTTP/2 streams of a client connection.
    #[serde(deserialize_with = "value::streams")]
    pub http2_streams: u32,
    /// How long a tunnel may carry nothing, in both directions.
    #[serde(deserialize_with = "value::pace")]
    pub upgrade_idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            requests: 100_000,
            header_bytes: Size::kibibytes(64),
            header_count: 100,
            body_bytes: Size::default(),
            header_timeout: Duration::from_secs(10),
            body_idle: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            connection_age: Duration::from_secs(3600),
            http2_streams: 200,
            upgrade_idle: Duration::from_secs(3600),
        }
    }
}

//! `[cluster.retry]`: what is tried again, when, and what that may cost.

use std::time::Duration;

use http::{HeaderName, Method, StatusCode};
use serde::{Deserialize, Serialize};
use tower_retry_budget::http::GrpcCode;

use super::{HedgeConfig, ThrottleConfig};
use crate::config::{Size, show, value};

/// `[cluster.retry]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// In all, the first one included.
    pub attempts: u32,
    /// Tokens that a successful request pays in; a retry costs its price.
    pub budget: f64,
    /// Tokens per second that are always paid in.
    pub min_per_second: f64,
    /// How many proxies like this one share `min_per_second`.
    pub clients: u32,
    /// What may be saved is what the successes of this time have paid in.
    #[serde(deserialize_with = "value::duration")]
    pub window: Duration,
    /// Tokens that may be saved without traffic; `None`: 10, or `burst` if that is less.
    pub reserve: Option<u32>,
    /// Tokens that may be saved at the most.
    pub burst: u32,
    /// Tokens that a retry costs.
    pub prices: PricesConfig,
    /// Between two attempts.
    pub backoff: RetryBackoffConfig,
    /// From one attempt's start to its response headers.
    #[serde(deserialize_with = "value::some_duration")]
    pub per_try: Option<Duration>,
    /// Statuses that are worth another attempt.
    #[serde(
        deserialize_with = "value::failure_statuses",
        serialize_with = "show::statuses"
    )]
    pub statuses: Vec<StatusCode>,
    /// Codes of gRPC that are worth another attempt.
    #[serde(
        deserialize_with = "value::grpc_codes",
        serialize_with = "show::grpc_codes"
    )]
    pub grpc_statuses: Vec<GrpcCode>,
    /// Bytes of a gRPC answer that are looked through for a code in its trailers.
    pub grpc_trailers: Size,
    /// Methods that may be repeated.
    #[serde(deserialize_with = "value::methods", serialize_with = "show::texts")]
    pub methods: Vec<Method>,
    /// Whether a request with an `idempotency-key` may be repeated, whatever its method.
    pub idempotency_key: bool,
    /// The longest wait that an endpoint may ask for; `None`: what it asks for is not read.
    #[serde(
        deserialize_with = "value::off_or_duration",
        serialize_with = "show::switch"
    )]
    pub retry_after: Option<Duration>,
    /// The field that tells endpoints which attempt they see, but for the first; `None`: none.
    #[serde(
        deserialize_with = "value::some_field_name",
        serialize_with = "show::text"
    )]
    pub attempt_header: Option<HeaderName>,
    /// Bytes of a request's body kept for a replay.
    pub body_limit: Size,
    /// Bytes of all requests' bodies together.
    pub body_memory: Size,
    /// Second attempts beside slow first ones, or `None`.
    #[serde(
        deserialize_with = "value::off_or_table",
        serialize_with = "show::switch"
    )]
    pub hedge: Option<HedgeConfig>,
    /// Holding requests back while endpoints accept too few, or `None`.
    #[serde(
        deserialize_with = "value::off_or_table",
        serialize_with = "show::switch"
    )]
    pub throttle: Option<ThrottleConfig>,
}

/// What a retry costs, by what has failed; `None`: what the budget asks for by itself.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PricesConfig {
    /// After an error, or a status that says nothing else.
    pub transient: Option<f64>,
    /// After 429 or RESOURCE_EXHAUSTED.
    pub throttled: Option<f64>,
    /// After a timeout, 504 or DEADLINE_EXCEEDED.
    pub timeout: Option<f64>,
    /// Of a second attempt beside a slow first one.
    pub hedge: Option<f64>,
}

/// The waits between attempts.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryBackoffConfig {
    /// The first delay.
    #[serde(deserialize_with = "value::positive_duration")]
    pub base: Duration,
    /// The longest delay.
    #[serde(deserialize_with = "value::positive_duration")]
    pub max: Duration,
    /// How many times longer each may be than the one before.
    pub factor: u32,
    /// How one is drawn.
    pub jitter: JitterConfig,
}

/// How a wait is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JitterConfig {
    /// From nothing to all of it.
    Full,
    /// From half of it to all of it.
    Equal,
    /// From `base` to `factor` times the wait before.
    Decorrelated,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            attempts: 4,
            budget: 0.2,
            min_per_second: 1.0,
            clients: 1,
            window: Duration::from_secs(10),
            reserve: None,
            burst: 10_000,
            prices: PricesConfig::default(),
            backoff: RetryBackoffConfig::default(),
            per_try: None,
            statuses: vec![
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ],
            grpc_statuses: vec![GrpcCode::UNAVAILABLE],
            grpc_trailers: Size::kibibytes(4),
            methods: vec![
                Method::GET,
                Method::HEAD,
                Method::OPTIONS,
                Method::PUT,
                Method::DELETE,
            ],
            idempotency_key: true,
            retry_after: Some(Duration::from_secs(10)),
            attempt_header: None,
            body_limit: Size::kibibytes(64),
            body_memory: Size::kibibytes(64 * 1024),
            hedge: None,
            throttle: None,
        }
    }
}

impl Default for RetryBackoffConfig {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(25),
            max: Duration::from_millis(400),
            factor: 4,
            jitter: JitterConfig::Equal,
        }
    }
}

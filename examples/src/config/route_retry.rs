//! `retry` of a `[[route]]`: what differs from its cluster's.

use std::time::Duration;

use http::{HeaderName, Method, StatusCode};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny},
};
use tower_retry_budget::http::GrpcCode;

use super::{
    cluster::{HedgeConfig, RetryBackoffConfig, RetryConfig},
    value::{self, Size},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryFile {
    attempts: Option<u32>,
    backoff: Option<RetryBackoffConfig>,
    #[serde(default, deserialize_with = "value::some_duration")]
    per_try: Option<Duration>,
    #[serde(default, deserialize_with = "value::some_failure_statuses")]
    statuses: Option<Vec<StatusCode>>,
    #[serde(default, deserialize_with = "value::some_grpc_codes")]
    grpc_statuses: Option<Vec<GrpcCode>>,
    grpc_trailers: Option<Size>,
    #[serde(default, deserialize_with = "value::some_methods")]
    methods: Option<Vec<Method>>,
    idempotency_key: Option<bool>,
    #[serde(default, deserialize_with = "value::some_off_or_duration")]
    retry_after: Option<Option<Duration>>,
    #[serde(default, deserialize_with = "value::some_field_name")]
    attempt_header: Option<HeaderName>,
    body_limit: Option<Size>,
    #[serde(default, deserialize_with = "value::some_off_or_table")]
    hedge: Option<Option<HedgeConfig>>,
    #[serde(rename = "budget")]
    _budget: Option<OfTheCluster>,
    #[serde(rename = "min_per_second")]
    _min_per_second: Option<OfTheCluster>,
    #[serde(rename = "clients")]
    _clients: Option<OfTheCluster>,
    #[serde(rename = "window")]
    _window: Option<OfTheCluster>,
    #[serde(rename = "reserve")]
    _reserve: Option<OfTheCluster>,
    #[serde(rename = "burst")]
    _burst: Option<OfTheCluster>,
    #[serde(rename = "prices")]
    _prices: Option<OfTheCluster>,
    #[serde(rename = "body_memory")]
    _body_memory: Option<OfTheCluster>,
    #[serde(rename = "throttle")]
    _throttle: Option<OfTheCluster>,
}

/// A key that all routes to a cluster share. Reading it is an error.
enum OfTheCluster {}

impl RetryFile {
    /// What is not said here is as in `base`.
    pub(super) fn over(&self, mut base: RetryConfig) -> RetryConfig {
        let Self {
            attempts,
            backoff,
            statuses,
            grpc_statuses,
            grpc_trailers,
            methods,
            idempotency_key,
            retry_after,
            body_limit,
            hedge,
            ..
        } = self;
        base.attempts = attempts.unwrap_or(base.attempts);
        base.backoff = backoff.unwrap_or(base.backoff);
        base.per_try = self.per_try.or(base.per_try);
        base.statuses = statuses.clone().unwrap_or(base.statuses);
        base.grpc_statuses = grpc_statuses.clone().unwrap_or(base.grpc_statuses);
        base.grpc_trailers = grpc_trailers.unwrap_or(base.grpc_trailers);
        base.methods = methods.clone().unwrap_or(base.methods);
        base.idempotency_key = idempotency_key.unwrap_or(base.idempotency_key);
        base.retry_after = retry_after.unwrap_or(base.retry_after);
        base.attempt_header = self.attempt_header.clone().or(base.attempt_header);
        base.body_limit = body_limit.unwrap_or(base.body_limit);
        base.hedge = hedge.unwrap_or(base.hedge);
        base
    }
}

impl<'de> Deserialize<'de> for OfTheCluster {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer)?;
        Err(D::Error::custom(
            "this is for the whole cluster, whose routes share it: write it in its [cluster.retry]",
        ))
    }
}

//! `retry` of a `[[route]]`: what differs from its cluster's.

use std::time::Duration;

use http::{Method, StatusCode};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny},
};

use super::{
    cluster::{BackoffConfig, RetryConfig},
    value::{self, Size},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryFile {
    attempts: Option<u32>,
    backoff: Option<BackoffConfig>,
    #[serde(default, deserialize_with = "value::some_duration")]
    per_try: Option<Duration>,
    #[serde(default, deserialize_with = "value::some_failure_statuses")]
    statuses: Option<Vec<StatusCode>>,
    #[serde(default, deserialize_with = "value::some_methods")]
    methods: Option<Vec<Method>>,
    body_limit: Option<Size>,
    #[serde(rename = "budget")]
    _budget: Option<OfTheCluster>,
    #[serde(rename = "min_per_second")]
    _min_per_second: Option<OfTheCluster>,
    #[serde(rename = "burst")]
    _burst: Option<OfTheCluster>,
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
            methods,
            body_limit,
            ..
        } = self;
        base.attempts = attempts.unwrap_or(base.attempts);
        base.backoff = backoff.unwrap_or(base.backoff);
        base.per_try = self.per_try.or(base.per_try);
        base.statuses = statuses.clone().unwrap_or(base.statuses);
        base.methods = methods.clone().unwrap_or(base.methods);
        base.body_limit = body_limit.unwrap_or(base.body_limit);
        base
    }
}

impl<'de> Deserialize<'de> for OfTheCluster {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer)?;
        Err(D::Error::custom(
            "the budget is that of the whole cluster: write budget, min_per_second and burst in its [cluster.retry]",
        ))
    }
}

use std::time::Duration;

use tower_retry_budget::{Budget, error::InvalidSetting};

use super::layers::{self, HttpRetryLayer};
use crate::config::{ClusterProtocol, RetryConfig};

/// How a cluster or a route tries again.
#[derive(Debug)]
pub(super) struct Retries {
    pub(super) layer: HttpRetryLayer,
    pub(super) per_try: Option<Duration>,
    /// Whether there is anything to keep a [`Sent`](super::Sent) for.
    pub(super) go_elsewhere: bool,
}

impl Retries {
    pub(super) fn new(
        config: &RetryConfig,
        budget: Budget,
        protocol: ClusterProtocol,
    ) -> Result<Self, InvalidSetting> {
        Ok(Self {
            layer: layers::retry(config, budget, protocol)?,
            per_try: config.per_try,
            go_elsewhere: config.attempts > 1,
        })
    }

    pub(super) fn none(protocol: ClusterProtocol) -> Result<Self, InvalidSetting> {
        Ok(Self {
            layer: layers::no_retry(protocol)?,
            per_try: None,
            go_elsewhere: false,
        })
    }
}

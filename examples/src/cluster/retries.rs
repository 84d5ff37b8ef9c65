//! What stands between a route and its balancer: throttle, retries, hedges, a look into each
//! attempt's answer, a limit for it.

use std::{fmt, time::Duration};

use http::{HeaderName, Request};
use tower::util::{Either, MapRequest};
use tower_layer::Layer;
use tower_retry_budget::{
    Budget, Retry,
    error::InvalidSetting,
    hedge::Hedge,
    http::{BodyMemory, PeekTrailers, PeekTrailersLayer, ReplayBody},
    throttle::{Throttle, ThrottleLayer, Throttled},
};
use tower_timeout_ewma::{AdaptiveTimeout, AdaptiveTimeoutLayer};

use super::{
    Balanced, EndpointRequest,
    layers::{
        self, HedgePolicy, HttpHedgeLayer, HttpPolicy, HttpReplay, HttpRetryLayer,
        HttpThrottleLayer, SentAgain,
    },
};
use crate::{
    config::{ClusterProtocol, RetryConfig},
    endpoint::Resend,
    http::body::ClientBody,
};

/// A request's way to the balancer, outermost layer first.
pub type Retrying = Either<Throttled<Retried, HttpPolicy>, Retried>;

type Retried =
    Retry<Either<Hedge<Attempt, HedgePolicy, HttpReplay>, Alone>, HttpPolicy, HttpReplay>;

/// Without a second attempt.
type Alone = MapRequest<Attempt, fn(Request<ReplayBody<ClientBody>>) -> EndpointRequest>;

/// Its limit is for the head of an answer, and not for the look at what comes with that.
type Attempt = PeekTrailers<Either<AdaptiveTimeout<Sending>, Sending>>;

/// To one endpoint, and to another where that could not be connected to.
type Sending = Resend<Balanced>;

/// How a cluster or a route tries again.
#[derive(Debug)]
pub(crate) struct Retries {
    pub(super) layer: HttpRetryLayer,
    pub(super) hedge: Option<HttpHedgeLayer>,
    throttle: Option<HttpThrottleLayer>,
    peek: PeekTrailersLayer,
    per_try: Option<Duration>,
    /// Whether there is anything to keep a [`Sent`](super::Sent) for.
    pub(super) go_elsewhere: bool,
    pub(super) attempt_header: Option<HeaderName>,
}

/// What all that tries again in a cluster has in common.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) budget: Budget,
    pub(super) memory: BodyMemory,
    pub(super) again: SentAgain,
    pub(super) throttle: Option<Throttle>,
}

impl Retries {
    pub(super) fn new(
        config: &RetryConfig,
        common: &Common,
        protocol: ClusterProtocol,
    ) -> Result<Self, String> {
        let Common {
            budget,
            memory,
            again,
            throttle,
        } = common;
        let (budget, memory) = (|| budget.clone(), || memory.clone());
        let layer = layers::retry(config, budget(), memory(), again, protocol);
        let hedge = config.hedge.as_ref();
        let hedge = hedge.map(|hedge| layers::hedge(hedge, config, budget(), memory(), again));
        let throttle = throttle.clone().map(ThrottleLayer::new);
        Ok(Self {
            layer: layer.map_err(told)?,
            hedge: hedge
                .transpose()
                .map_err(|error| of_table("hedge", &error))?,
            throttle: throttle.map(|layer| layer.policy(layers::rules(config))),
            peek: layers::peek(config),
            per_try: config.per_try,
            go_elsewhere: config.attempts > 1 || config.hedge.is_some(),
            attempt_header: config.attempt_header.clone(),
        })
    }

    pub(super) fn none(protocol: ClusterProtocol) -> Result<Self, InvalidSetting> {
        Ok(Self {
            layer: layers::no_retry(protocol)?,
            hedge: None,
            throttle: None,
            peek: layers::no_peek(),
            per_try: None,
            go_elsewhere: false,
            attempt_header: None,
        })
    }

    /// Whether the layers take what the table says.
    pub(crate) fn check(config: &RetryConfig) -> Result<(), String> {
        let common = Common::new(config)?;
        Self::new(config, &common, ClusterProtocol::default()).map(drop)
    }

    pub(super) fn over(&self, sending: Sending) -> Retrying {
        let attempt = match self.per_try {
            Some(limit) => Either::Left(AdaptiveTimeoutLayer::fixed(limit).layer(sending)),
            None => Either::Right(sending),
        };
        let attempt = self.peek.layer(attempt);
        let attempts = match &self.hedge {
            Some(hedge) => Either::Left(hedge.layer(attempt)),
            None => Either::Right(MapRequest::new(attempt, alone as _)),
        };
        let retried = self.layer.layer(attempts);
        match &self.throttle {
            Some(throttle) => Either::Left(throttle.layer(retried)),
            None => Either::Right(retried),
        }
    }
}

impl Common {
    pub(super) fn new(config: &RetryConfig) -> Result<Self, String> {
        let throttle = config.throttle.as_ref().map(layers::throttle);
        Ok(Self {
            budget: layers::budget(config).map_err(told)?,
            memory: BodyMemory::new(config.body_memory.bytes()),
            again: SentAgain::default(),
            throttle: throttle
                .transpose()
                .map_err(|error| of_table("throttle", &error))?,
        })
    }
}

fn alone(request: Request<ReplayBody<ClientBody>>) -> EndpointRequest {
    request.map(ReplayBody::plain)
}

fn told(error: impl fmt::Display) -> String {
    error.to_string()
}

/// With the name that the setting has in the file.
fn of_table(table: &str, error: &InvalidSetting) -> String {
    error.to_string().replacen('`', &format!("`{table}."), 1)
}

//! `[cluster.retry]`.

use tower_retry_budget::{
    Backoff, Budget, Jitter, Kind, RetryLayer,
    error::InvalidSetting,
    hedge::HedgeLayer,
    http::{AttemptHeader, BodyMemory, BodyReplay, PeekTrailersLayer, StatusPolicy},
    prepare::WithPrepare,
    throttle::{Throttle, ThrottleLayer},
};

use super::{HedgePolicy, HttpPolicy, SentAgain};
use crate::config::{
    ClusterProtocol, HedgeConfig, JitterConfig, RetryBackoffConfig, RetryConfig, ThrottleConfig,
};

/// Retries as this proxy does them.
pub type HttpRetryLayer = RetryLayer<HttpPolicy, HttpReplay>;

/// Second attempts as this proxy makes them.
pub type HttpHedgeLayer = HedgeLayer<HedgePolicy, HttpReplay>;

/// Requests are held back by what the retries take for accepted.
pub type HttpThrottleLayer = ThrottleLayer<HttpPolicy>;

/// How attempts are made.
pub type HttpReplay = WithPrepare<BodyReplay, SentAgain>;

/// The budget.
pub fn budget(config: &RetryConfig) -> Result<Budget, InvalidSetting> {
    let mut builder = Budget::builder()
        .ratio(config.budget)
        .min_per_second(config.min_per_second)
        .clients(config.clients)
        .window(config.window)
        .burst(config.burst);
    if let Some(reserve) = config.reserve {
        builder = builder.reserve(reserve);
    }
    let prices = [
        (Kind::Transient, config.prices.transient),
        (Kind::Throttled, config.prices.throttled),
        (Kind::Timeout, config.prices.timeout),
        (Kind::Hedge, config.prices.hedge),
    ];
    for (kind, price) in prices {
        if let Some(price) = price {
            builder = builder.price(kind, price);
        }
    }
    builder.build()
}

/// The retries of the table, or of what a route makes of it, paid from the cluster's budget.
pub fn retry(
    config: &RetryConfig,
    budget: Budget,
    memory: BodyMemory,
    again: &SentAgain,
    protocol: ClusterProtocol,
) -> Result<HttpRetryLayer, InvalidSetting> {
    RetryLayer::builder(budget)
        .attempts(config.attempts)
        .resends(resends(protocol))
        .backoff(backoff(&config.backoff)?)
        .policy(rules(config))
        .replay(BodyReplay::new(config.body_limit.bytes()).memory(memory))
        .prepare(again.with_header(header(config)))
        .build()
}

/// No retries, where `[cluster.retry]` is absent. Where nothing can come back unprocessed either,
/// nothing is kept and nothing is cloned.
pub fn no_retry(protocol: ClusterProtocol) -> Result<HttpRetryLayer, InvalidSetting> {
    RetryLayer::builder(Budget::new())
        .attempts(1)
        .resends(resends(protocol))
        .policy(HttpPolicy::new(StatusPolicy::new()))
        .replay(BodyReplay::default())
        .prepare(SentAgain::default())
        .build()
}

/// `hedge`, paid from the same budget.
pub fn hedge(
    hedge: &HedgeConfig,
    config: &RetryConfig,
    budget: Budget,
    memory: BodyMemory,
    again: &SentAgain,
) -> Result<HttpHedgeLayer, InvalidSetting> {
    HedgeLayer::builder(budget, HedgePolicy::new(rules(config)))
        .quantile(hedge.quantile)
        .min_samples(hedge.min_samples)
        .window(hedge.window)
        .min_delay(hedge.min_delay)
        .replay(BodyReplay::new(config.body_limit.bytes()).memory(memory))
        .prepare(again.with_header(header(config)))
        .build()
}

/// `grpc_trailers`. No answer waits for what has not arrived.
pub fn peek(config: &RetryConfig) -> PeekTrailersLayer {
    PeekTrailersLayer::new().limit(config.grpc_trailers.bytes())
}

/// Where nothing asks for what it would find.
pub fn no_peek() -> PeekTrailersLayer {
    PeekTrailersLayer::new().limit(0)
}

/// `throttle`.
pub fn throttle(config: &ThrottleConfig) -> Result<Throttle, InvalidSetting> {
    let builder = Throttle::builder()
        .window(config.window)
        .multiplier(config.multiplier)
        .min_per_second(config.min_per_second);
    match config.patience {
        Some(patience) => builder.patience(patience).build(),
        None => builder.build(),
    }
}

fn backoff(config: &RetryBackoffConfig) -> Result<Backoff, InvalidSetting> {
    let jitter = match config.jitter {
        JitterConfig::Full => Jitter::Full,
        JitterConfig::Equal => Jitter::Equal,
        JitterConfig::Decorrelated => Jitter::Decorrelated,
    };
    Backoff::new(config.base, config.max)?
        .factor(config.factor)?
        .jitter(jitter)
}

/// What the retries of this table take for accepted.
pub(in crate::cluster) fn rules(config: &RetryConfig) -> HttpPolicy {
    let by_status = StatusPolicy::new()
        .methods(config.methods.iter().cloned())
        .statuses(config.statuses.iter().copied())
        .grpc_codes(config.grpc_statuses.iter().copied())
        .idempotency_key(config.idempotency_key);
    HttpPolicy::new(match config.retry_after {
        Some(longest) => by_status.max_after(longest),
        None => by_status.ignore_after(),
    })
}

fn header(config: &RetryConfig) -> Option<AttemptHeader> {
    config.attempt_header.clone().map(AttemptHeader::new)
}

/// Only an HTTP/2 endpoint can say that it has not processed what it was sent.
fn resends(protocol: ClusterProtocol) -> u32 {
    match protocol {
        ClusterProtocol::Http2 | ClusterProtocol::Auto => 2,
        ClusterProtocol::Http1 | ClusterProtocol::Tcp => 0,
    }
}

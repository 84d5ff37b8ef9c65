//! The five layers, each built from its table of the configuration.
//!
//! The configuration's check calls these too: what a layer refuses is reported with its place in
//! the file, and what passed the check can be built.

mod again;
mod policy;
mod retry;
mod unlike;

use std::{error::Error, time::Duration};

use http::Response;
use tower_balance_p2c::{
    BalanceLayer, Classify, Ejection, Outcome, SlowStart,
    http::{AtEndOfBody, AtEndOfBodyBlaming, HttpClassify},
};
use tower_mtls::{MtlsLayer, Source};
use tower_reconnect::{Event, Observer, ReconnectLayer, exclusive::ExclusiveLayer};
use tower_timeout_ewma::{
    AdaptiveTimeoutLayer, FromSent, OneKey, RequestLimit, Rules,
    deadline::{DeadlineLayer, http::HttpDeadline},
    http::{InExtensions, ServedOnly},
};

pub(super) use self::retry::rules;
pub use self::{
    again::{Again, SentAgain},
    policy::{HedgePolicy, HttpPolicy},
    retry::{
        HttpHedgeLayer, HttpReplay, HttpRetryLayer, HttpThrottleLayer, budget, hedge, no_peek,
        no_retry, peek, retry, throttle,
    },
    unlike::Unlike,
};
use super::{Ejections, Elsewhere, EndpointRequest, fate::NobodysFault};
use crate::{
    BoxError,
    config::{
        BalanceConfig, ClusterProtocol, EjectConfig, Expected, ReconnectConfig, TimeoutConfig,
        UpstreamTls,
    },
    endpoint::{Ended, Unprocessed},
    http::refusal,
};

/// A timeout that learns from what was served, and not from errors that came quickly; from when a
/// request was sent, and of those that are alike.
pub type HttpTimeoutLayer =
    AdaptiveTimeoutLayer<ServedOnly, Rules<OneKey, Unlike, FromSent<InExtensions>>>;

/// The balancer as this proxy uses it.
pub type HttpBalanceLayer = BalanceLayer<EndpointRequest, BlameEndpoint, AtEnd, Elsewhere>;

/// A request is in flight to the end of its answer, and is judged by it as by the beginning.
pub type AtEnd = AtEndOfBodyBlaming<fn(&BoxError) -> bool>;

/// [`HttpClassify`], but a request that the client itself spoilt says nothing about its endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlameEndpoint(HttpClassify);

impl<B> Classify<Response<B>, BoxError> for BlameEndpoint {
    fn classify(&self, result: Result<&Response<B>, &BoxError>) -> Outcome {
        match result {
            Err(error)
                if !blames(error) || error.is::<NobodysFault>() || went_away(error.as_ref()) =>
            {
                Outcome::Neutral
            }
            result => self.0.classify(result),
        }
    }
}

/// `[cluster.balance]`, but for `subset`, which is for discovery. `ejections` counts them.
pub fn balance(
    config: &BalanceConfig,
    ejections: Ejections,
) -> Result<HttpBalanceLayer, tower_balance_p2c::error::InvalidSetting> {
    let builder = BalanceLayer::builder()
        .decay(config.decay)
        .wait(config.wait)
        .slow_start(SlowStart::new().window(config.slow_start))
        .ejection(config.eject.as_ref().map_or_else(Ejection::off, ejection))
        .observer(ejections)
        .classify(BlameEndpoint::default())
        .completion(AtEndOfBody.blame(blames as fn(&BoxError) -> bool))
        .steer(Elsewhere);
    let builder = match config.choices {
        Some(choices) => builder.choices(choices),
        None => builder,
    };
    match &config.zone {
        Some(zone) => builder.zone(zone.as_str()).build(),
        None => builder.build(),
    }
}

fn ejection(config: &EjectConfig) -> Ejection {
    Ejection::new()
        .consecutive(config.consecutive)
        .ratio(config.ratio)
        .window(config.window)
        .min_requests(config.min_requests)
        .base(config.base)
        .max(config.max)
        .requests_per_probe(config.requests_per_probe)
        .max_ejected(config.max_ejected)
        .panic(config.panic)
        .max_pushback(config.max_pushback)
}

/// Whether an error is the endpoint's, and not the client's own.
fn blames(error: &BoxError) -> bool {
    !refusal::is_clients_fault(error.as_ref())
}

/// Whether a request was not processed because its connection was about to end, after it had done
/// its work.
fn went_away(error: &(dyn Error + 'static)) -> bool {
    Unprocessed::goes_away(error) || Ended::caused_by_work(error)
}

/// `[cluster.timeout]`. What is [unlike](Unlike) the rest has the limit `max`, or none where the
/// route limits the whole exchange.
pub fn timeout(
    config: &TimeoutConfig,
    route_is_limited: bool,
) -> Result<HttpTimeoutLayer, tower_timeout_ewma::error::InvalidSetting> {
    let builder = AdaptiveTimeoutLayer::builder()
        .classify(ServedOnly)
        .from_sent(InExtensions);
    if let Some(limit) = config.fixed {
        return Ok(builder
            .limit_by(Unlike::new(RequestLimit::Learnt))
            .build_fixed(limit));
    }
    let unlike = match route_is_limited {
        true => RequestLimit::Unlimited,
        false => RequestLimit::Fixed(config.max),
    };
    builder
        .limit_by(Unlike::new(unlike))
        .min(config.min)
        .max(config.max)
        .initial(config.initial)
        .build()
}

/// A client's deadline, honoured and passed on.
pub fn deadline() -> DeadlineLayer<HttpDeadline> {
    DeadlineLayer::new(HttpDeadline::new())
}

/// `[cluster.reconnect]`, for one target with one connection for all requests.
pub fn reconnect<T: ToString>(
    target: T,
    config: &ReconnectConfig,
    observer: impl Observer,
) -> Result<ReconnectLayer<T>, tower_reconnect::error::InvalidSetting> {
    connections(target, config, observer).build()
}

/// `[cluster.reconnect]`, for one target with a connection for each request.
pub fn exclusive<T: ToString>(
    target: T,
    config: &ReconnectConfig,
    observer: impl Observer,
) -> Result<ExclusiveLayer<T>, tower_reconnect::error::InvalidSetting> {
    let builder = connections(target, config, observer).max_dials(config.max_dials);
    match config.eager {
        // One that must not end is not to be closed.
        true => builder.build_exclusive(),
        false => builder.idle(config.idle).build_exclusive(),
    }
}

/// What `[cluster.reconnect]` must be for both.
pub(crate) fn check_reconnect(
    config: &ReconnectConfig,
) -> Result<(), tower_reconnect::error::InvalidSetting> {
    reconnect("", config, |_: &Event<'_>| {}).map(drop)?;
    exclusive("", config, |_: &Event<'_>| {}).map(drop)
}

fn connections<T: ToString>(
    target: T,
    config: &ReconnectConfig,
    observer: impl Observer,
) -> tower_reconnect::Builder<T> {
    let name = target.to_string();
    ReconnectLayer::builder(target)
        .name(name)
        .connect_timeout(config.connect_timeout)
        .backoff(config.backoff.base, config.backoff.max)
        .stable_after(config.stable_after)
        .first_dial_jitter(config.first_dial_jitter)
        .eager(config.eager)
        .retired_when(Ended::worked)
        // An endpoint that sends its clients away after a few answers still serves, and each of its connections
        // costs a request first: only one that answers nothing is put off.
        .worked_after(1)
        .observer(observer)
}

/// `[cluster.tls]`, with what `source` has. A handshake is a part of connecting, for which there is `timeout`.
pub fn mtls(
    source: &Source,
    tls: &UpstreamTls,
    protocol: ClusterProtocol,
    timeout: Duration,
) -> Result<MtlsLayer, tower_mtls::error::InvalidSetting> {
    let expected = match &tls.expected {
        Expected::Identities(ids) => tower_mtls::Expected::Spiffe(ids.clone()),
        Expected::TrustDomain => tower_mtls::Expected::TrustDomain,
        Expected::ServerName(name) => tower_mtls::Expected::ServerName(name.clone()),
    };
    let alpn: &[&str] = match protocol {
        ClusterProtocol::Http1 => &["http/1.1"],
        ClusterProtocol::Http2 => &["h2"],
        ClusterProtocol::Auto => &["h2", "http/1.1"],
        ClusterProtocol::Tcp => &[],
    };
    let builder = MtlsLayer::rotating(source)
        .expect(expected)
        .alpn(alpn.iter().copied())
        .handshake_timeout(timeout.clamp(SHORTEST_HANDSHAKE, LONGEST_HANDSHAKE))
        .clock_skew(tls.clock_skew)
        .allow_tls12(tls.allow_tls12)
        .end_connections(tls.end_connections);
    match &tls.certificate {
        Some(_) => builder.build(),
        None => builder.anonymous().build(),
    }
}

/// What the layer takes.
const SHORTEST_HANDSHAKE: Duration = Duration::from_millis(1);
const LONGEST_HANDSHAKE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    /// The balancer does not tell its own.
    #[test]
    fn the_defaults_of_balancing_are_the_balancers() {
        let BalanceConfig {
            slow_start, eject, ..
        } = BalanceConfig::default();
        assert_eq!(eject.map(|eject| ejection(&eject)), Some(Ejection::new()));
        assert_eq!(SlowStart::new().window(slow_start), SlowStart::new());
    }
}

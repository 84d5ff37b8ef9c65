//! The layer and its builder.

use std::{any::type_name, fmt, sync::Arc, time::Duration};

use tokio::time::Instant;
use tower_layer::Layer;

use super::{
    estimator::{Estimator, Rule},
    service::{Common, Hedge},
    stats::{Counters, HedgeStats},
};
use crate::{
    budget::Budget, error::InvalidSetting, prepare::WithPrepare, replay::CloneRequest,
    sync::lane_count,
};

/// Sends a second attempt beside one that is slow, within a [`Budget`]. See the
/// [module's documentation](super).
#[must_use = "a layer does nothing until it is put on a service"]
pub struct HedgeLayer<P, R = CloneRequest> {
    common: Arc<Common<P, R>>,
}

impl<P> HedgeLayer<P> {
    /// Hedges what the [`Policy`](crate::Policy) says may be sent twice, with the default settings.
    /// The request is cloned.
    pub fn new(budget: Budget, policy: P) -> Self {
        Self::from_settings(Self::builder(budget, policy))
    }

    /// Sets up a layer. The [`Policy`](crate::Policy) has no default, because a request that
    /// must not be sent twice looks like any other.
    pub fn builder(budget: Budget, policy: P) -> Builder<P> {
        Builder {
            budget,
            funds: false,
            rule: Rule {
                quantile: 0.95,
                min_samples: 100,
                min_delay: Duration::from_millis(1),
                window: Duration::from_secs(10),
            },
            policy,
            replay: CloneRequest,
        }
    }
}

impl<P, R> HedgeLayer<P, R> {
    /// What this layer has done, in all its services.
    pub fn stats(&self) -> HedgeStats {
        self.common.stats()
    }

    fn from_settings(settings: Builder<P, R>) -> Self {
        let Builder {
            budget,
            funds,
            rule,
            policy,
            replay,
        } = settings;
        Self {
            common: Arc::new(Common {
                budget,
                funds,
                policy,
                replay,
                estimator: Estimator::new(rule, lane_count()),
                counters: Counters::default(),
                epoch: Instant::now(),
            }),
        }
    }
}

/// All services of one layer learn together: use one for each kind of request that is served alike.
impl<S: Clone, P, R> Layer<S> for HedgeLayer<P, R> {
    type Service = Hedge<S, P, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Hedge::new(inner, Arc::clone(&self.common))
    }
}

impl<P, R> Clone for HedgeLayer<P, R> {
    fn clone(&self) -> Self {
        Self {
            common: Arc::clone(&self.common),
        }
    }
}

impl<P, R> fmt::Debug for HedgeLayer<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.common
            .debug(&mut f.debug_struct("HedgeLayer"))
            .finish()
    }
}

/// Sets up a [`HedgeLayer`].
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder<P, R = CloneRequest> {
    budget: Budget,
    funds: bool,
    rule: Rule,
    policy: P,
    replay: R,
}

impl<P, R> Builder<P, R> {
    /// The share of first attempts that are to answer before a second one is sent. Default 0.95,
    /// range 0.5 to 0.9999.
    ///
    /// The rest, 5 % by default, is what hedging adds to the load while latencies are steady.
    pub fn quantile(mut self, quantile: f64) -> Self {
        self.rule.quantile = quantile;
        self
    }

    /// The answers within the [`window`](Self::window) without which nothing is hedged. Default
    /// 100, range 1 to 1,000,000.
    ///
    /// Below 1 ÷ (1 − quantile) the quantile is only the slowest answer.
    pub fn min_samples(mut self, min_samples: u32) -> Self {
        self.rule.min_samples = min_samples;
        self
    }

    /// How long an answer counts, to a quarter. Default 10 s, range 1 s to 1 h.
    ///
    /// It is the longest time for which a delay outlives the latencies that it was learnt from.
    pub fn window(mut self, window: Duration) -> Self {
        self.rule.window = window;
        self
    }

    /// The least delay, whatever was learnt. Default 1 ms, range 0 to 1 min.
    ///
    /// Timers of tokio are exact to a millisecond, and late rather than early.
    pub fn min_delay(mut self, min_delay: Duration) -> Self {
        self.rule.min_delay = min_delay;
        self
    }

    /// Whether a request that succeeds pays into the budget, and attempts that fail are noted there.
    /// Default no.
    ///
    /// A success pays once: say yes only where no [`RetryLayer`](crate::RetryLayer) with the same
    /// budget sees the same requests. Without either, only time pays.
    pub fn funds(mut self, funds: bool) -> Self {
        self.funds = funds;
        self
    }

    /// How the second attempt is made: a [`Replay`](crate::Replay). Default [`CloneRequest`].
    pub fn replay<Q>(self, replay: Q) -> Builder<P, Q> {
        Builder {
            budget: self.budget,
            funds: self.funds,
            rule: self.rule,
            policy: self.policy,
            replay,
        }
    }

    /// Touches up the second attempt at once before it is sent, as to tell the balancer below which
    /// endpoint to avoid: a [`Prepare`](crate::Prepare). To it this is attempt 2, for a failure of
    /// the kind [`Kind::Hedge`](crate::Kind::Hedge). Default nothing. Set it after
    /// [`replay`](Self::replay).
    pub fn prepare<H>(self, hook: H) -> Builder<P, WithPrepare<R, H>> {
        Builder {
            budget: self.budget,
            funds: self.funds,
            rule: self.rule,
            policy: self.policy,
            replay: WithPrepare::new(self.replay, hook),
        }
    }

    /// Makes the layer.
    ///
    /// # Errors
    ///
    /// [`InvalidSetting`], if a value is outside its range.
    pub fn build(self) -> Result<HedgeLayer<P, R>, InvalidSetting> {
        let Rule {
            quantile,
            min_samples,
            min_delay,
            window,
        } = self.rule;
        if !(0.5..=0.9999).contains(&quantile) {
            return Err(InvalidSetting::new("quantile", quantile, "0.5 to 0.9999"));
        }
        if !(1..=1_000_000).contains(&min_samples) {
            return Err(InvalidSetting::new(
                "min_samples",
                min_samples,
                "1 to 1000000",
            ));
        }
        if min_delay > LONGEST_MIN_DELAY {
            let value = format_args!("{min_delay:?}");
            return Err(InvalidSetting::new("min_delay", value, "0 to 1 minute"));
        }
        if !(SHORTEST_WINDOW..=LONGEST_WINDOW).contains(&window) {
            let value = format_args!("{window:?}");
            return Err(InvalidSetting::new("window", value, "1 second to 1 hour"));
        }
        Ok(HedgeLayer::from_settings(self))
    }
}

impl<P, R> fmt::Debug for Builder<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("budget", &self.budget)
            .field("funds", &self.funds)
            .field("rule", &self.rule)
            .field("policy", &format_args!("{}", type_name::<P>()))
            .field("replay", &format_args!("{}", type_name::<R>()))
            .finish()
    }
}

const LONGEST_MIN_DELAY: Duration = Duration::from_secs(60);

const SHORTEST_WINDOW: Duration = Duration::from_secs(1);

const LONGEST_WINDOW: Duration = Duration::from_secs(60 * 60);

use std::{fmt, hash::Hash, time::Duration};

use tower_layer::Layer;

use crate::{
    EveryAnswer, builder::Builder, estimator::Settings, key::PerKey, limiter::Limiter,
    rules::Rules, scope::ToResponse, service::AdaptiveTimeout, stats::Stats,
};

/// Ends requests that take much longer than the service's answers usually do.
///
/// Clones of a layer, and all services made by them, share one estimator: use one layer for what
/// has one latency, for example one endpoint or one route, or give it [keys](Builder::key). `C` says
/// which answers it learns from (see [`Builder::classify`]), `R` what is special about requests, and
/// `U` what the [limit covers](crate::scope). See the [crate documentation](crate).
#[must_use = "a layer does nothing until it wraps a service"]
pub struct AdaptiveTimeoutLayer<C = EveryAnswer, R = Rules, U = ToResponse> {
    limiter: Limiter<C>,
    rules: R,
    scope: U,
}

impl AdaptiveTimeoutLayer {
    /// A layer with the default settings: see [`Builder`].
    pub fn new() -> Self {
        Self::with(
            Limiter::learnt(Settings::default(), EveryAnswer),
            Rules::default(),
            ToResponse,
        )
    }

    /// A layer whose limit never changes.
    ///
    /// It observes nothing: its [`stats`](Self::stats) have the limit only. With a limit of zero
    /// only an answer that is there at the first poll gets through.
    pub fn fixed(limit: Duration) -> Self {
        Self::with(Limiter::fixed(limit), Rules::default(), ToResponse)
    }

    /// Starts from the default settings.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl<C, R, U> AdaptiveTimeoutLayer<C, R, U> {
    /// The limit that the next request gets; with [keys](Builder::key), that of a new one.
    pub fn limit(&self) -> Duration {
        self.limiter.limit()
    }

    /// What is known now; with [keys](Builder::key), of all together.
    pub fn stats(&self) -> Stats {
        self.limiter.stats()
    }

    pub(crate) fn with(limiter: Limiter<C>, rules: R, scope: U) -> Self {
        Self {
            limiter,
            rules,
            scope,
        }
    }
}

impl<C, F, K, L, M, U> AdaptiveTimeoutLayer<C, Rules<PerKey<F, K>, L, M>, U>
where
    K: Clone + Eq + Hash,
{
    /// What is known of one key, if anything is: its limit is among it.
    ///
    /// This does not count as a use of the key.
    pub fn stats_of(&self, key: &K) -> Option<Stats> {
        self.rules.key.stats_of(key)
    }

    /// What is known of each key, in no order. It locks one shard of them after the other.
    pub fn stats_by_key(&self) -> Vec<(K, Stats)> {
        self.rules.key.stats_by_key()
    }

    /// How many keys were forgotten so far to make room for others: if this goes up all the time,
    /// [`max_keys`](Builder::max_keys) is too low.
    pub fn evicted_keys(&self) -> u64 {
        self.rules.key.keys.evicted()
    }
}

impl Default for AdaptiveTimeoutLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, C, R: Clone, U: Clone> Layer<S> for AdaptiveTimeoutLayer<C, R, U> {
    type Service = AdaptiveTimeout<S, C, R, U>;

    fn layer(&self, inner: S) -> Self::Service {
        AdaptiveTimeout::new(
            inner,
            self.limiter.clone(),
            self.rules.clone(),
            self.scope.clone(),
        )
    }
}

// Not derived: `C` need not be `Clone` or `Debug`.
impl<C, R: Clone, U: Clone> Clone for AdaptiveTimeoutLayer<C, R, U> {
    fn clone(&self) -> Self {
        Self::with(self.limiter.clone(), self.rules.clone(), self.scope.clone())
    }
}

impl<C, R, U> fmt::Debug for AdaptiveTimeoutLayer<C, R, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptiveTimeoutLayer")
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}

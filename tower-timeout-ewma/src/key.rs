use std::{fmt, hash::Hash, sync::Arc};

use crate::{
    error::InvalidSetting, estimator::Rule, keys::Keys, limiter::Limiter, stats::Stats,
    watch::Watch,
};

/// All requests share one estimator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OneKey;

/// Requests share an estimator if they have the same key: see
/// [`Builder::key`](crate::Builder::key).
pub struct PerKey<F, K> {
    key: F,
    pub(crate) max_keys: usize,
    pub(crate) keys: Arc<Keys<K>>,
}

impl<F, K> PerKey<F, K> {
    pub(crate) fn new(key: F, max_keys: usize) -> Self {
        Self {
            key,
            max_keys,
            keys: Arc::new(Keys::new(max_keys)),
        }
    }
}

impl<F, K: Clone + Eq + Hash> PerKey<F, K> {
    pub(crate) fn stats_of(&self, key: &K) -> Option<Stats> {
        self.keys.peek(key).as_deref().map(Stats::of)
    }

    pub(crate) fn stats_by_key(&self) -> Vec<(K, Stats)> {
        let all = self.keys.all().into_iter();
        all.map(|(key, estimator)| (key, Stats::of(&estimator)))
            .collect()
    }
}

/// Which estimator a request has: [`OneKey`] or [`PerKey`].
///
/// It cannot be implemented for other types.
pub trait Key<Req>: sealed::Key<Req> {}

impl<Req> Key<Req> for OneKey {}

impl<Req> sealed::Key<Req> for OneKey {
    fn watch<C>(&self, shared: &Limiter<C>, _: &Req) -> Watch<C> {
        shared.watch()
    }
}

impl<Req, F, K> Key<Req> for PerKey<F, K>
where
    F: Fn(&Req) -> K,
    K: Clone + Eq + Hash,
{
}

impl<Req, F, K> sealed::Key<Req> for PerKey<F, K>
where
    F: Fn(&Req) -> K,
    K: Clone + Eq + Hash,
{
    fn watch<C>(&self, shared: &Limiter<C>, request: &Req) -> Watch<C> {
        shared.watch_key(|cold| self.keys.find((self.key)(request), cold))
    }
}

impl sealed::Setting for OneKey {
    const RULE: Rule = Rule::QUANTILE;

    fn build(self) -> Result<Self, InvalidSetting> {
        Ok(self)
    }
}

impl<F, K> sealed::Setting for PerKey<F, K> {
    /// A quantile for each of many keys would take much memory.
    const RULE: Rule = Rule::SMOOTHED;

    /// With keys of its own: layers of one builder share nothing.
    fn build(self) -> Result<Self, InvalidSetting> {
        if self.max_keys == 0 {
            return Err(InvalidSetting::new("max_keys", &0, "at least 1"));
        }
        Ok(Self::new(self.key, self.max_keys))
    }
}

/// Not derived: `K` need not be `Clone`.
impl<F: Clone, K> Clone for PerKey<F, K> {
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone(),
            max_keys: self.max_keys,
            keys: Arc::clone(&self.keys),
        }
    }
}

impl<F, K> fmt::Debug for PerKey<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKey")
            .field("max_keys", &self.max_keys)
            .finish_non_exhaustive()
    }
}

pub(crate) mod sealed {
    use super::{InvalidSetting, Limiter, Rule, Watch};

    pub trait Key<Req> {
        fn watch<C>(&self, shared: &Limiter<C>, request: &Req) -> Watch<C>;
    }

    pub trait Setting: Sized {
        /// What limits follow, if nothing is said of it.
        const RULE: Rule;

        fn build(self) -> Result<Self, InvalidSetting>;
    }
}

//! What an adaptive timeout wants to know of each request. The defaults are empty.

use std::{fmt, time::Duration};

use tokio::time::Instant;

use crate::{
    error::{Elapsed, InvalidSetting},
    estimator::Rule,
    exchange::Exchange,
    key::{self, Key, OneKey},
    limiter::Limiter,
    request_limit::{LimitBy, OneLimit},
    sent::{FromCall, Start},
};

/// Which estimator a request has (`K`), which limit (`L`), and from when on that runs (`M`).
#[derive(Clone, Copy, Default)]
pub struct Rules<K = OneKey, L = OneLimit, M = FromCall> {
    pub(crate) key: K,
    pub(crate) limit: L,
    pub(crate) start: M,
    /// Whether the limit runs from the first wait for readiness.
    pub(crate) from_readiness: bool,
    /// How long readiness may take.
    pub(crate) readiness: Option<Duration>,
}

impl<K, L, M> Rules<K, L, M> {
    /// How long the wait for readiness may take that begins now.
    pub(crate) fn readiness<C>(&self, limiter: &Limiter<C>) -> Option<Duration> {
        let limit = self.from_readiness.then(|| limiter.limit());
        [limit, self.readiness].into_iter().flatten().min()
    }

    /// What a readiness that took too long teaches: something only if the learnt limit was for it.
    pub(crate) fn readiness_timed_out<C>(
        &self,
        limiter: &Limiter<C>,
        elapsed: Elapsed,
        began: Instant,
    ) {
        if !self.from_readiness {
            return;
        }
        match self.readiness {
            Some(own) if own <= elapsed.limit() => limiter.watch().cancelled(began, None),
            _ => limiter.watch().timed_out(elapsed.limit(), None),
        }
    }

    #[inline(always)]
    pub(crate) fn begin<Req, C>(
        &self,
        limiter: &Limiter<C>,
        waited: Option<Instant>,
        request: &mut Req,
    ) -> Exchange<C>
    where
        K: Key<Req>,
        L: LimitBy<Req>,
        M: Start<Req>,
    {
        let watch = self.key.watch(limiter, request);
        let limit = self.limit.limit(request);
        let sent = self.start.sent(request);
        let waited = waited.filter(|_| self.from_readiness);
        Exchange::new(watch, waited, limit, sent)
    }
}

/// What a builder was told, checked.
pub trait Setting: Sized {
    /// What limits follow, if nothing is said of it.
    const RULE: Rule;

    /// Checks it, and makes what layers share.
    fn build(self) -> Result<Self, InvalidSetting>;
}

impl<K: key::sealed::Setting, L, M> Setting for Rules<K, L, M> {
    const RULE: Rule = K::RULE;

    fn build(self) -> Result<Self, InvalidSetting> {
        Ok(Self {
            key: self.key.build()?,
            ..self
        })
    }
}

/// Closures have no `Debug`.
impl<K, L, M> fmt::Debug for Rules<K, L, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("from_readiness", &self.from_readiness)
            .field("readiness", &self.readiness)
            .finish_non_exhaustive()
    }
}

use std::{
    fmt,
    hash::Hash,
    task::{Context, Poll},
    time::Duration,
};

use tower_service::Service;

use crate::{
    BoxError, EveryAnswer,
    future::ResponseFuture,
    key::{Key, PerKey},
    limiter::Limiter,
    readiness::Wait,
    request_limit::LimitBy,
    rules::Rules,
    scope::{Cover, ToResponse},
    sent::Start,
    stats::Stats,
};

/// A service whose requests end at a learnt limit. Made by
/// [`AdaptiveTimeoutLayer`](crate::AdaptiveTimeoutLayer).
///
/// Clones share one estimator, or those of all keys. `C` says which answers are learnt from, `R`
/// what is special about requests, `U` what the limit covers.
pub struct AdaptiveTimeout<S, C = EveryAnswer, R = Rules, U = ToResponse> {
    inner: S,
    limiter: Limiter<C>,
    rules: R,
    scope: U,
    wait: Option<Box<Wait>>,
}

impl<S, C, R, U> AdaptiveTimeout<S, C, R, U> {
    pub(crate) fn new(inner: S, limiter: Limiter<C>, rules: R, scope: U) -> Self {
        Self {
            inner,
            limiter,
            rules,
            scope,
            wait: None,
        }
    }

    /// The limit that the next request gets; with [keys](crate::Builder::key), that of a new one.
    pub fn limit(&self) -> Duration {
        self.limiter.limit()
    }

    /// What is known now; with [keys](crate::Builder::key), of all together.
    pub fn stats(&self) -> Stats {
        self.limiter.stats()
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, mutable.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Gives the inner service back.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, C, F, K, L, M, U> AdaptiveTimeout<S, C, Rules<PerKey<F, K>, L, M>, U>
where
    K: Clone + Eq + Hash,
{
    /// What is known of one key, if anything is.
    pub fn stats_of(&self, key: &K) -> Option<Stats> {
        self.rules.key.stats_of(key)
    }
}

impl<S, Req, C, K, L, M, U> Service<Req> for AdaptiveTimeout<S, C, Rules<K, L, M>, U>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    K: Key<Req>,
    L: LimitBy<Req>,
    M: Start<Req>,
    U: Cover<S::Response, C>,
{
    type Response = U::Output;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, C, U>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if let Poll::Ready(result) = self.inner.poll_ready(cx) {
            if let Some(wait) = &mut self.wait {
                wait.is_over();
            }
            return Poll::Ready(result.map_err(Into::into));
        }
        let wait = match &mut self.wait {
            Some(wait) => wait,
            none => {
                let Some(limit) = self.rules.readiness(&self.limiter) else {
                    return Poll::Pending;
                };
                none.insert(Box::new(Wait::new(limit)))
            }
        };
        // Not an error here, which would be the end of the service.
        wait.poll(cx).map(|elapsed| {
            if let Some(elapsed) = elapsed {
                self.rules
                    .readiness_timed_out(&self.limiter, elapsed, wait.began());
            }
            Ok(())
        })
    }

    #[inline]
    fn call(&mut self, mut request: Req) -> Self::Future {
        let waited = match self.wait.take() {
            None => None,
            Some(wait) => match wait.overdue() {
                Some(elapsed) => return ResponseFuture::overdue(elapsed),
                None => Some(wait.began()),
            },
        };
        let exchange = self.rules.begin(&self.limiter, waited, &mut request);
        ResponseFuture::new(self.inner.call(request), exchange)
    }
}

// Not derived: `C` need not be `Clone` or `Debug`. A clone has waited for nothing yet.
impl<S: Clone, C, R: Clone, U: Clone> Clone for AdaptiveTimeout<S, C, R, U> {
    fn clone(&self) -> Self {
        Self::new(
            self.inner.clone(),
            self.limiter.clone(),
            self.rules.clone(),
            self.scope.clone(),
        )
    }
}

impl<S: fmt::Debug, C, R, U> fmt::Debug for AdaptiveTimeout<S, C, R, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptiveTimeout")
            .field("inner", &self.inner)
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}

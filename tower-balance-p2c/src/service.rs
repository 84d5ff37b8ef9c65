use std::{
    fmt::{self, Debug},
    hash::Hash,
    marker::PhantomData,
    sync::Arc,
    task::{Context, Poll},
};

use futures::Stream;
use tower_service::Service;

use crate::{
    AtResponse, BalanceLayer, BoxError, Change, Classify, Completion, Driver, EndpointStats,
    OkOrErr, Stats, future::ResponseFuture, pool::Pool,
};

/// Balances requests over the endpoints that a discovery stream names. See the
/// [crate's documentation](crate).
///
/// Clones share everything, at the price of a reference count.
pub struct Balance<K, S, Req, C = OkOrErr, T = AtResponse> {
    pool: Arc<Pool<K, S, C, T>>,
    _request: PhantomData<fn(Req)>,
}

impl<K, S, Req> Balance<K, S, Req> {
    /// A balancer with default settings, and the [`Driver`] that is to be spawned for it.
    ///
    /// [`BalanceLayer::pair`] does the same with other settings.
    pub fn new<D, E>(discover: D) -> (Self, Driver<D, K, S, Req>)
    where
        D: Stream<Item = Result<Change<K, S>, E>>,
        E: Into<BoxError>,
        K: Hash + Eq + Clone + Debug,
        S: Service<Req> + Clone,
        S::Error: Into<BoxError>,
    {
        BalanceLayer::new().pair(discover)
    }
}

impl<K, S, Req, C, T> Balance<K, S, Req, C, T> {
    pub(crate) fn from_pool(pool: Pool<K, S, C, T>) -> Self {
        Self {
            pool: Arc::new(pool),
            _request: PhantomData,
        }
    }
}

impl<K: Clone, S, Req, C, T> Balance<K, S, Req, C, T> {
    /// What is known of the set and of its endpoints now. Takes time in proportion to their
    /// number, and takes nothing from the requests.
    pub fn stats(&self) -> Stats<K> {
        let shared = &self.pool.shared;
        let now = shared.clock.now();
        let endpoints = shared.endpoints.load();
        let endpoints = endpoints.iter();
        let endpoints = endpoints.map(|endpoint| EndpointStats::new(endpoint, now));
        Stats::new(endpoints.collect(), shared.is_driven(), &self.pool.counters)
    }
}

impl<K, S, Req, C, T> Service<Req> for Balance<K, S, Req, C, T>
where
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    C: Classify<S::Response, S::Error>,
    T: Completion<S::Response>,
{
    type Response = T::Output;
    type Error = BoxError;
    type Future = ResponseFuture<K, S, S::Future, Req, C, T>;

    /// Always ready, and reserves nothing: the future picks, and waits if it must.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.pool.drive();
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        ResponseFuture::new(Arc::clone(&self.pool), request)
    }
}

impl<K, S, Req, C, T> Clone for Balance<K, S, Req, C, T> {
    fn clone(&self) -> Self {
        Self {
            pool: Arc::clone(&self.pool),
            _request: PhantomData,
        }
    }
}

impl<K, S, Req, C, T> Debug for Balance<K, S, Req, C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balance").field("pool", &self.pool).finish()
    }
}

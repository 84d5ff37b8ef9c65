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
    AtResponse, BalanceLayer, BoxError, Change, Classify, Completion, Driver, OkOrErr, Stats,
    Steer,
    future::ResponseFuture,
    lanes::Lanes,
    pool::{Pool, PoolLanes},
};

/// Balances requests over the endpoints that a discovery stream names. See the
/// [crate's documentation](crate).
///
/// Clones share everything, at the price of a reference count.
///
/// # Panics
///
/// A request that has to wait for an endpoint panics when its future is polled outside of a tokio
/// runtime with time enabled: see [`ResponseFuture`].
pub struct Balance<K, S, Req, C = OkOrErr, T = AtResponse, A = ()> {
    lanes: Arc<PoolLanes<K, S, C, T, A>>,
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
        K: Hash + Eq + Clone + Debug + Send + Sync + 'static,
        S: Service<Req> + Clone,
        S::Error: Into<BoxError>,
    {
        BalanceLayer::new().pair(discover)
    }
}

impl<K, S, Req, C, T, A> Balance<K, S, Req, C, T, A> {
    pub(crate) fn from_pool(pool: Pool<K, S, C, T, A>) -> Self {
        Self {
            lanes: Arc::new(Lanes::new(pool)),
            _request: PhantomData,
        }
    }
}

impl<K: Clone + Debug + Send + Sync + 'static, S, Req, C, T, A> Balance<K, S, Req, C, T, A> {
    /// What is known of the set and of its endpoints now. Takes time in proportion to their
    /// number, and takes nothing from the requests.
    pub fn stats(&self) -> Stats<K> {
        let pool = self.lanes.pool();
        Stats::of(&pool.shared, &pool.counters)
    }
}

impl<K, S, Req, C, T, A> Service<Req> for Balance<K, S, Req, C, T, A>
where
    K: Debug + Send + Sync + 'static,
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    C: Classify<S::Response, S::Error>,
    T: Completion<S::Response>,
    A: Steer<K, Req, T::Output>,
{
    type Response = T::Output;
    type Error = BoxError;
    type Future = ResponseFuture<K, S, S::Future, Req, C, T, A>;

    /// Always ready, and reserves nothing: the future picks, and waits if it must.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.lanes.pool().drive();
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        ResponseFuture::new(Arc::clone(self.lanes.lane()), request)
    }
}

impl<K, S, Req, C, T, A> Clone for Balance<K, S, Req, C, T, A> {
    fn clone(&self) -> Self {
        Self {
            lanes: Arc::clone(&self.lanes),
            _request: PhantomData,
        }
    }
}

impl<K, S, Req, C, T, A> Debug for Balance<K, S, Req, C, T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balance")
            .field("pool", self.lanes.pool())
            .finish()
    }
}

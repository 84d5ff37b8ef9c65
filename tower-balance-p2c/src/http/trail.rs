use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Response};

use crate::Steer;

/// The endpoints that a request and its copies have been sent to. A request that has one in its
/// extensions avoids them, and adds its own; copies share it, so that a retry goes elsewhere while
/// there is somewhere else.
///
/// ```
/// use http::Request;
/// use tower_balance_p2c::{BalanceLayer, http::{ByTrail, Trail}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = BalanceLayer::<Request<()>>::builder().steer(ByTrail).build()?;
/// # drop(layer);
/// let mut request = Request::new(());
/// request.extensions_mut().insert(Trail::<std::net::SocketAddr>::new());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Trail<K> {
    endpoints: Arc<Mutex<Vec<K>>>,
}

impl<K> Trail<K> {
    /// Without any yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more to avoid.
    pub fn add(&self, endpoint: K) {
        self.with(|endpoints| endpoints.push(endpoint));
    }

    fn with<T>(&self, act: impl FnOnce(&mut Vec<K>) -> T) -> T {
        act(&mut self
            .endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }
}

impl<K: Clone> Trail<K> {
    /// In the order in which the request and its copies were sent to them.
    pub fn endpoints(&self) -> Vec<K> {
        self.with(|endpoints| endpoints.clone())
    }
}

impl<K> Clone for Trail<K> {
    fn clone(&self) -> Self {
        Self {
            endpoints: Arc::clone(&self.endpoints),
        }
    }
}

impl<K> Default for Trail<K> {
    fn default() -> Self {
        Self {
            endpoints: Arc::default(),
        }
    }
}

/// The endpoint that a response is from, in its extensions if [`ByTrail`] steers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServedBy<K>(pub K);

/// A [`Steer`] by extensions: requests avoid what their [`Trail`] has, and responses have a
/// [`ServedBy`]. Such an extension costs an allocation.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByTrail;

impl<K, B, B2> Steer<K, Request<B>, Response<B2>> for ByTrail
where
    K: Clone + PartialEq + Send + Sync + 'static,
{
    fn avoids(&self, request: &Request<B>, endpoint: &K) -> bool {
        let trail = request.extensions().get::<Trail<K>>();
        trail.is_some_and(|trail| trail.with(|endpoints| endpoints.contains(endpoint)))
    }

    fn sent(&self, request: &mut Request<B>, endpoint: &K) {
        if let Some(trail) = request.extensions().get::<Trail<K>>() {
            trail.add(endpoint.clone());
        }
    }

    fn answered(&self, response: &mut Response<B2>, endpoint: &K) {
        response.extensions_mut().insert(ServedBy(endpoint.clone()));
    }
}

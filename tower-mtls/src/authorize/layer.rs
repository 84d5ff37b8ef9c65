use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tower_layer::Layer;

use crate::{
    PeerIdentity,
    authorize::{AllowList, Authorize},
};

/// Refuses every request whose peer is not on an [`AllowList`]; see the [module](super).
///
/// `F` finds the verified peer in a request. A request in which it finds none is refused.
#[derive(Clone)]
#[must_use]
pub struct AuthorizeLayer<F> {
    policy: Policy<F>,
}

/// How many requests were let through and refused, by all services of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    permitted: u64,
    denied: u64,
}

/// What a layer gives to each of its services.
#[derive(Clone)]
pub(super) struct Policy<F> {
    allow: AllowList,
    peer: F,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    permitted: AtomicU64,
    denied: AtomicU64,
}

impl<F> AuthorizeLayer<F> {
    /// Lets the peers on `allow` through; `peer` finds the peer in a request.
    pub fn new<Req>(allow: AllowList, peer: F) -> Self
    where
        F: Fn(&Req) -> Option<&PeerIdentity>,
    {
        Self::with_policy(allow, peer)
    }

    /// Counts of the requests so far.
    pub fn stats(&self) -> Stats {
        Stats {
            permitted: self.policy.counters.permitted.load(Relaxed),
            denied: self.policy.counters.denied.load(Relaxed),
        }
    }

    fn with_policy(allow: AllowList, peer: F) -> Self {
        Self {
            policy: Policy {
                allow,
                peer,
                counters: Arc::default(),
            },
        }
    }
}

#[cfg(feature = "http")]
impl<B> AuthorizeLayer<fn(&http::Request<B>) -> Option<&PeerIdentity>> {
    /// Lets the peers on `allow` through, and finds the peer in the extensions of the request.
    ///
    /// The server puts it there, once per connection, from [`MtlsStream::peer`](crate::MtlsStream::peer).
    /// Nothing that a client sends can.
    pub fn from_extensions(allow: AllowList) -> Self {
        Self::with_policy(allow, |request| request.extensions().get())
    }
}

impl<S, F: Clone> Layer<S> for AuthorizeLayer<F> {
    type Service = Authorize<S, F>;

    fn layer(&self, inner: S) -> Authorize<S, F> {
        Authorize::new(inner, self.policy.clone())
    }
}

impl<F> fmt::Debug for AuthorizeLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizeLayer")
            .field("allow", &self.policy.allow)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Stats {
    /// Requests that went on to the service inside.
    pub fn permitted(&self) -> u64 {
        self.permitted
    }

    /// Requests that were refused.
    pub fn denied(&self) -> u64 {
        self.denied
    }
}

impl<F> Policy<F> {
    /// The refused peer, if the request is refused.
    pub(super) fn check<Req>(&self, request: &Req) -> Result<(), Option<PeerIdentity>>
    where
        F: Fn(&Req) -> Option<&PeerIdentity>,
    {
        let peer = (self.peer)(request);
        if peer.is_some_and(|peer| self.allow.permits(peer)) {
            self.counters.permitted.fetch_add(1, Relaxed);
            return Ok(());
        }
        self.counters.denied.fetch_add(1, Relaxed);
        Err(peer.cloned())
    }

    pub(super) fn allow(&self) -> &AllowList {
        &self.allow
    }
}

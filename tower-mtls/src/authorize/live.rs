use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;

use super::Policy;
use crate::PeerIdentity;

/// A policy that can be replaced while requests are checked; all clones are the same one.
///
/// A request is judged by the policy of the moment at which it is called: replacing takes no lock that a
/// request could wait for, and none is judged by parts of both.
pub struct Live<P> {
    policy: Arc<ArcSwap<P>>,
}

impl<P> Live<P> {
    /// Begins with this policy.
    pub fn new(policy: P) -> Self {
        Self {
            policy: Arc::new(ArcSwap::from_pointee(policy)),
        }
    }

    /// Judges every request from now on by this policy.
    pub fn replace(&self, policy: P) {
        self.policy.store(Arc::new(policy));
    }

    /// The policy of now.
    pub fn current(&self) -> Arc<P> {
        self.policy.load_full()
    }
}

impl<P: Policy<Req>, Req> Policy<Req> for Live<P> {
    fn permits(&self, peer: &PeerIdentity, request: &Req) -> bool {
        self.policy.load().permits(peer, request)
    }
}

impl<P> Clone for Live<P> {
    fn clone(&self) -> Self {
        Self {
            policy: self.policy.clone(),
        }
    }
}

impl<P: fmt::Debug> fmt::Debug for Live<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Live").field(&self.current()).finish()
    }
}

use std::{fmt, sync::Arc};

use crate::{
    PeerIdentity,
    authorize::{Authorize, Fail, Policy, Stats, stats::Counters},
    error::{Denied, DenyReason},
};
use tower_layer::Layer;

/// Refuses every request that its [`Policy`] does not permit; see the [module](super).
///
/// `F` finds the verified peer in a request. A request in which it finds none is refused.
#[derive(Clone)]
#[must_use]
pub struct AuthorizeLayer<F, P, R = Fail> {
    gate: Gate<F, P>,
    respond: R,
}

/// What a layer gives to each of its services.
#[derive(Clone)]
pub(super) struct Gate<F, P> {
    policy: P,
    peer: F,
    audits: bool,
    counters: Arc<Counters>,
}

/// What a gate says of a request.
pub(super) enum Verdict {
    Permitted,
    Denied(Denied),
    /// It would have been denied, but goes on.
    Audited(Denied),
}

impl<F, P> AuthorizeLayer<F, P> {
    /// Lets through what `policy` permits; `peer` finds the peer in a request.
    pub fn new<Req>(policy: P, peer: F) -> Self
    where
        P: Policy<Req>,
        F: Fn(&Req) -> Option<&PeerIdentity>,
    {
        Self {
            gate: Gate {
                policy,
                peer,
                audits: false,
                counters: Arc::default(),
            },
            respond: Fail,
        }
    }
}

#[cfg(feature = "http")]
impl<B, P: Policy<::http::Request<B>>>
    AuthorizeLayer<fn(&::http::Request<B>) -> Option<&PeerIdentity>, P>
{
    /// Lets through what `policy` permits, and finds the peer in the extensions of the request.
    ///
    /// The server puts it there, once per connection, from [`MtlsStream::peer`](crate::MtlsStream::peer).
    /// Nothing that a client sends can.
    pub fn from_extensions(policy: P) -> Self {
        Self::new(policy, |request| request.extensions().get())
    }
}

impl<F, P, R> AuthorizeLayer<F, P, R> {
    /// What a refused request gets, instead of failing with [`Denied`]: [`Forbidden`](super::Forbidden)
    /// (feature `http`), or [`RespondWith`](super::RespondWith) a closure.
    pub fn respond<R2>(self, respond: R2) -> AuthorizeLayer<F, P, R2> {
        AuthorizeLayer {
            gate: self.gate,
            respond,
        }
    }

    /// Whether requests that the policy refuses go on none the less, and are only counted and logged at
    /// INFO: to try a policy before it is enforced. Default: no, they are refused.
    pub fn audit(mut self, audits: bool) -> Self {
        self.gate.audits = audits;
        self
    }

    /// Counts of the requests so far.
    pub fn stats(&self) -> Stats {
        self.gate.counters.snapshot()
    }
}

impl<S, F: Clone, P: Clone, R: Clone> Layer<S> for AuthorizeLayer<F, P, R> {
    type Service = Authorize<S, F, P, R>;

    fn layer(&self, inner: S) -> Authorize<S, F, P, R> {
        Authorize::new(inner, self.gate.clone(), self.respond.clone())
    }
}

impl<F, P: fmt::Debug, R> fmt::Debug for AuthorizeLayer<F, P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizeLayer")
            .field("policy", &self.gate.policy)
            .field("audits", &self.gate.audits)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl<F, P> Gate<F, P> {
    pub(super) fn check<Req>(&self, request: &Req) -> Verdict
    where
        F: Fn(&Req) -> Option<&PeerIdentity>,
        P: Policy<Req>,
    {
        let peer = (self.peer)(request);
        let reason = match peer {
            None => DenyReason::NoPeer,
            Some(peer) if !peer.is_valid() => DenyReason::NoLongerValid,
            Some(peer) if self.policy.permits(peer, request) => {
                self.counters.permit();
                return Verdict::Permitted;
            }
            Some(_) => DenyReason::NotAllowed,
        };
        let denied = Denied::new(reason, peer.cloned());
        match self.audits {
            true => {
                self.counters.audit(reason);
                Verdict::Audited(denied)
            }
            false => {
                self.counters.deny(reason);
                Verdict::Denied(denied)
            }
        }
    }

    pub(super) fn policy(&self) -> &P {
        &self.policy
    }
}

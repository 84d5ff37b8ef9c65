use std::{error::Error, fmt};

use crate::PeerIdentity;

/// A request that was refused by its [`Policy`](crate::authorize::Policy).
#[derive(Clone, Debug)]
pub struct Denied {
    reason: DenyReason,
    peer: Option<PeerIdentity>,
}

/// Why a request was refused: few and fixed, so that it can label a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DenyReason {
    /// The request carries no verified peer.
    NoPeer,
    /// The peer's certificate has expired, was revoked, or its root was withdrawn, since the connection was made.
    NoLongerValid,
    /// The policy does not permit the peer.
    NotAllowed,
}

impl Denied {
    pub(crate) fn new(reason: DenyReason, peer: Option<PeerIdentity>) -> Self {
        Self { reason, peer }
    }

    /// Why it was refused.
    pub fn reason(&self) -> DenyReason {
        self.reason
    }

    /// The verified peer, or `None` for a request without one.
    pub fn peer(&self) -> Option<&PeerIdentity> {
        self.peer.as_ref()
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.peer {
            Some(peer) if self.reason == DenyReason::NoLongerValid => write!(
                f,
                "the certificate of peer {peer} is not valid any more: it must connect with a new one"
            ),
            Some(peer) => write!(
                f,
                "peer {peer} is not allowed: add it to the policy, or refuse it"
            ),
            None => f.write_str(
                "the request carries no verified peer identity: \
                 was it received on a connection without a client certificate?",
            ),
        }
    }
}

impl Error for Denied {}

impl DenyReason {
    /// Every reason, for those who export one time series for each.
    pub const ALL: &'static [Self] = &[Self::NoPeer, Self::NoLongerValid, Self::NotAllowed];

    pub(crate) const COUNT: usize = Self::ALL.len();

    /// A short name in snake case, for logs and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoPeer => "no_peer",
            Self::NoLongerValid => "no_longer_valid",
            Self::NotAllowed => "not_allowed",
        }
    }
}

impl fmt::Display for DenyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

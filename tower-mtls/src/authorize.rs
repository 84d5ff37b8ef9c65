//! Who may send requests, asked again for every one of them.
//!
//! ```
//! use tower_mtls::{PeerIdentity, authorize::{AllowList, AuthorizeLayer}};
//!
//! struct Request {
//!     peer: Option<PeerIdentity>,
//! }
//!
//! let allow = AllowList::parse(["spiffe://example.org/ns/shop/sa/web", "dns:admin.example.org"])?;
//! let layer = AuthorizeLayer::new(allow, |request: &Request| request.peer.as_ref());
//! # let _ = layer;
//! # Ok::<(), tower_mtls::error::InvalidIdentity>(())
//! ```

use std::{collections::HashSet, sync::Arc};

use crate::{Identity, PeerIdentity, error::InvalidIdentity};

pub use self::{
    layer::{AuthorizeLayer, Stats},
    service::{Authorize, ResponseFuture},
};

mod layer;
mod service;

/// The peers that are let through; cheap to clone. The default is nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowList(Rule);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    AnyVerified,
    OneOf(Arc<HashSet<Identity>>),
}

impl AllowList {
    /// Reads entries of the form `spiffe://trust-domain/path` and `dns:name`. A peer is let through
    /// if one of its identities is equal to one of them; there are no patterns. No entry: nobody.
    pub fn parse<I>(entries: I) -> Result<Self, InvalidIdentity>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        entries
            .into_iter()
            .map(|entry| entry.as_ref().parse::<Identity>())
            .collect()
    }

    /// Everyone whose certificate was verified, whoever it is; not those without one.
    pub fn any_verified() -> Self {
        Self(Rule::AnyVerified)
    }

    /// Whether this peer is let through.
    pub fn permits(&self, peer: &PeerIdentity) -> bool {
        match &self.0 {
            Rule::AnyVerified => true,
            Rule::OneOf(allowed) => peer.identities().iter().any(|id| allowed.contains(id)),
        }
    }
}

impl Default for AllowList {
    fn default() -> Self {
        Self::from_iter([])
    }
}

impl FromIterator<Identity> for AllowList {
    fn from_iter<I: IntoIterator<Item = Identity>>(identities: I) -> Self {
        Self(Rule::OneOf(Arc::new(identities.into_iter().collect())))
    }
}

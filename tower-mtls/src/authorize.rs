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
//!
//! A verified connection is not yet a permission: an authority issues certificates to everyone it knows.
//! The check is per request, so that every request is judged by the service that it reaches, whatever
//! connection it came on.
//!
//! The closure takes the identity from where the server put it. Let that be a place which a client cannot
//! write to: a field, or the extensions of an `http::Request` (feature `http`), never a header.

use std::{collections::HashSet, sync::Arc};

use crate::{Identity, PeerIdentity, error::InvalidIdentity};

pub use self::{
    layer::{AuthorizeLayer, Stats},
    service::{Authorize, ResponseFuture},
};

mod layer;
mod service;

/// The peers that are let through; cheap to clone. The default is nobody.
///
/// ```
/// use tower_mtls::authorize::AllowList;
///
/// let list = AllowList::parse(["spiffe://example.org/ns/shop/sa/web"])?;
/// assert_ne!(list, AllowList::default());
/// // One bad entry refuses the whole list, rather than leaving a smaller one behind.
/// assert!(AllowList::parse(["spiffe://example.org/web", "spiffe://example.org/*"]).is_err());
/// # Ok::<(), tower_mtls::error::InvalidIdentity>(())
/// ```
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

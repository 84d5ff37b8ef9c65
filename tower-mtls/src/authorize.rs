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
//!
//! # Policies
//!
//! A [`Policy`] decides. An [`AllowList`] is one, and any `Fn(&PeerIdentity, &Req) -> bool` is, for rules
//! that look at the request too. In a [`Live`] policy either can be replaced while the service runs; the
//! next request meets the new one, on open connections as well.
//!
//! ```
//! use tower_mtls::{PeerIdentity, authorize::{AllowList, AuthorizeLayer, Live}};
//!
//! # struct Request { peer: Option<PeerIdentity> }
//! let policy = Live::new(AllowList::parse(["spiffe://example.org/web"])?);
//! let layer = AuthorizeLayer::new(policy.clone(), |request: &Request| request.peer.as_ref());
//! // Later: everything below /ns/shop, and nobody else.
//! policy.replace(AllowList::parse(["spiffe://example.org/ns/shop/*"])?);
//! # let _ = layer;
//! # Ok::<(), tower_mtls::error::InvalidIdentity>(())
//! ```
//!
//! A peer whose certificate has expired, was revoked, or lost its root since the connection was made is
//! refused whatever the policy says, on the connections that [`end_connections`] leaves open.
//!
//! [`end_connections`]: crate::accept::AcceptorBuilder::end_connections
//!
//! To see whom a policy would refuse before it does, let it [`audit`](AuthorizeLayer::audit).

#[cfg(feature = "http")]
pub use self::forbidden::Forbidden;
pub use self::{
    allow_list::AllowList,
    layer::AuthorizeLayer,
    live::Live,
    policy::Policy,
    respond::{Fail, Respond, RespondWith},
    service::{Authorize, ResponseFuture},
    stats::Stats,
};

mod allow_list;
#[cfg(feature = "http")]
mod forbidden;
mod layer;
mod live;
mod policy;
mod respond;
mod service;
mod stats;

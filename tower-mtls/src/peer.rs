//! Who the peer is.

mod leaf;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{DnsName, Identity, SpiffeId, TrustDomain, Validity};

pub(crate) use self::leaf::{Issuer, Leaf, WEAK_KEY, is_weak_key, validity};

/// The identity of the peer of one connection; cheap to clone.
///
/// There is no way to make one but a handshake in which this crate verified the peer's certificate,
/// so a request that carries it was received on such a connection, if it was put there by the server.
/// It is read once per connection, and shared by all clones.
#[derive(Clone)]
pub struct PeerIdentity {
    details: Arc<Details>,
    /// There is one in each that leaves the crate.
    validity: Option<Validity>,
}

/// The SHA-256 hash of a certificate or a chain. `Display` writes it in lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

#[derive(Clone, PartialEq, Eq)]
struct Details {
    identities: Box<[Identity]>,
    fingerprint: Fingerprint,
    chain_fingerprint: Fingerprint,
    not_after: SystemTime,
}

impl PeerIdentity {
    pub(crate) fn new(
        identities: Box<[Identity]>,
        fingerprint: Fingerprint,
        chain_fingerprint: Fingerprint,
        not_after: SystemTime,
    ) -> Self {
        Self {
            details: Arc::new(Details {
                identities,
                fingerprint,
                chain_fingerprint,
                not_after,
            }),
            validity: None,
        }
    }

    /// Every identity of the peer, the primary first.
    ///
    /// With a trust domain it is exactly one SPIFFE ID. In a plain PKI these are the DNS names of the
    /// certificate, without wildcards; a client's certificate may have none.
    pub fn identities(&self) -> &[Identity] {
        &self.details.identities
    }

    /// The first identity.
    pub fn primary(&self) -> Option<&Identity> {
        self.identities().first()
    }

    /// The SPIFFE ID, if the trust bundle has a trust domain.
    pub fn spiffe_id(&self) -> Option<&SpiffeId> {
        self.identities().iter().find_map(Identity::as_spiffe)
    }

    /// The trust domain whose bundle vouches for the peer; `None` in a plain PKI.
    pub fn trust_domain(&self) -> Option<&TrustDomain> {
        self.spiffe_id().map(SpiffeId::trust_domain)
    }

    /// The SHA-256 hash of the peer's own certificate, the leaf.
    pub fn fingerprint(&self) -> Fingerprint {
        self.details.fingerprint
    }

    /// The SHA-256 hash of all certificates that the peer presented, one behind the other in DER, the leaf first.
    pub fn chain_fingerprint(&self) -> Fingerprint {
        self.details.chain_fingerprint
    }

    /// When the first certificate between the leaf and the root expires, both included but the root. By default
    /// the peer's connections end then.
    pub fn not_after(&self) -> SystemTime {
        self.details.not_after
    }

    /// Whether the peer would still be accepted: its certificate has not expired, and at the last rotation
    /// it was not found to be revoked or without a root.
    ///
    /// It is cheap enough to ask for each request: it looks at the clock, and neither locks nor allocates.
    pub fn is_valid(&self) -> bool {
        self.validity.as_ref().is_some_and(Validity::is_valid)
    }

    /// Tells when the peer is no longer accepted, and why. There always is one.
    pub fn validity(&self) -> Option<&Validity> {
        self.validity.as_ref()
    }

    pub(crate) fn with_validity(mut self, validity: Validity) -> Self {
        self.validity = Some(validity);
        self
    }

    /// The same peer, with the name under which it was just verified in front.
    pub(crate) fn verified_as(self, name: &DnsName) -> Self {
        let name = Identity::Dns(name.clone());
        let others = self.identities().iter().filter(|other| **other != name);
        let identities = std::iter::once(&name).chain(others).cloned().collect();
        Self {
            details: Arc::new(Details {
                identities,
                ..(*self.details).clone()
            }),
            validity: self.validity,
        }
    }
}

/// Two connections of one peer have equal identities, whether or not they are still valid.
impl PartialEq for PeerIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.details == other.details
    }
}

impl Eq for PeerIdentity {}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.primary() {
            Some(identity) => identity.fmt(f),
            None => f.write_str("(a certificate without a DNS name)"),
        }
    }
}

impl fmt::Debug for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PeerIdentity")
            .field(&self.identities())
            .finish()
    }
}

impl Fingerprint {
    /// The hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Fingerprint {
    fn from(hash: [u8; 32]) -> Self {
        Self(hash)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// A time that a certificate or a list has, in seconds since 1970.
pub(crate) fn system_time(seconds: i64) -> Option<SystemTime> {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    match seconds < 0 {
        true => UNIX_EPOCH.checked_sub(distance),
        false => UNIX_EPOCH.checked_add(distance),
    }
}

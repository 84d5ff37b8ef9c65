use std::{collections::HashSet, sync::Arc};

use super::Policy;
use crate::{Identity, PeerIdentity, SpiffeId, TrustDomain, error::InvalidIdentity};

/// The peers that are let through; cheap to clone. The default is nobody.
///
/// An entry is an exact identity, or everything below a SPIFFE path or in a trust domain, written with `/*`
/// at its end. A path's own workload is not below it, and `/ns/shop/*` is not about `/ns/shopping`.
///
/// ```
/// use tower_mtls::authorize::AllowList;
///
/// let list = AllowList::parse([
///     "spiffe://example.org/ns/shop/sa/web", // this workload
///     "spiffe://example.org/ns/pay/*",       // all workloads below this path
///     "spiffe://partner.example/*",          // all workloads of this trust domain
///     "dns:admin.example.org",               // this name, where there is no trust domain
/// ])?;
/// assert_ne!(list, AllowList::default());
/// // One bad entry refuses the whole list, rather than leaving a smaller one behind.
/// assert!(AllowList::parse(["spiffe://example.org/web", "spiffe://example.org/*/web"]).is_err());
/// # Ok::<(), tower_mtls::error::InvalidIdentity>(())
/// ```
///
/// An exact identity costs one look into a hash table; entries with `/*` are compared one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowList(Rule);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    AnyVerified,
    Entries(Arc<Entries>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entries {
    exact: HashSet<Identity>,
    /// Each ends with a slash.
    prefixes: Vec<Box<str>>,
}

impl AllowList {
    /// Reads entries of the form `spiffe://trust-domain/path`, `spiffe://trust-domain/path/*`,
    /// `spiffe://trust-domain/*` and `dns:name`. A peer is let through if one of its identities is one of
    /// them. No entry: nobody.
    pub fn parse<I>(entries: I) -> Result<Self, InvalidIdentity>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut list = Entries::default();
        for entry in entries {
            list.add(entry.as_ref())?;
        }
        Ok(Self(Rule::Entries(Arc::new(list))))
    }

    /// Everyone whose certificate was verified, whoever it is; not those without one.
    pub fn any_verified() -> Self {
        Self(Rule::AnyVerified)
    }

    /// Whether this peer is let through.
    pub fn permits(&self, peer: &PeerIdentity) -> bool {
        match &self.0 {
            Rule::AnyVerified => true,
            Rule::Entries(entries) => peer.identities().iter().any(|id| entries.hold(id)),
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
        Self(Rule::Entries(Arc::new(Entries {
            exact: identities.into_iter().collect(),
            prefixes: Vec::new(),
        })))
    }
}

impl<Req> Policy<Req> for AllowList {
    fn permits(&self, peer: &PeerIdentity, _request: &Req) -> bool {
        self.permits(peer)
    }
}

impl Entries {
    fn add(&mut self, entry: &str) -> Result<(), InvalidIdentity> {
        let in_entry = |error: InvalidIdentity| InvalidIdentity::new(entry, error.rule());
        let Some(prefix) = entry.strip_suffix("/*") else {
            self.exact.insert(entry.parse().map_err(in_entry)?);
            return Ok(());
        };
        check_prefix(prefix).map_err(in_entry)?;
        self.prefixes.push(format!("{prefix}/").into());
        Ok(())
    }

    fn hold(&self, identity: &Identity) -> bool {
        let is_below = |id: &SpiffeId| {
            let mut prefixes = self.prefixes.iter();
            prefixes.any(|prefix| id.as_str().starts_with(&**prefix))
        };
        self.exact.contains(identity) || identity.as_spiffe().is_some_and(is_below)
    }
}

/// A SPIFFE ID, or a trust domain in its place.
fn check_prefix(prefix: &str) -> Result<(), InvalidIdentity> {
    match prefix.strip_prefix("spiffe://") {
        Some(domain) if !domain.contains('/') => domain.parse::<TrustDomain>().map(drop),
        _ => prefix.parse::<SpiffeId>().map(drop),
    }
}

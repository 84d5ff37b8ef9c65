//! Whom this side trusts: roots, and what their authorities have revoked.

mod bundle;
mod revocation;

use std::{collections::HashMap, sync::Arc};

use rustls::DistinguishedName;

use crate::{SpiffeId, TrustDomain, error::InvalidSetting};

pub use self::{
    bundle::TrustBundle,
    revocation::{RevocationLists, UnknownStatus},
};

/// Everything that a verdict on a peer rests on, as one value; cheap to clone.
///
/// It is either the bundle of a plain PKI, or the bundle of this side's own SPIFFE trust domain with any
/// number of federated ones beside it. A peer is verified with the bundle of its own trust domain and no
/// other, which is chosen before its path is built: no authority vouches for a domain that is not its own. A
/// peer of a domain without a bundle is refused.
///
/// ```
/// # #[cfg(feature = "dev")]
/// # fn main() -> Result<(), tower_mtls::BoxError> {
/// use tower_mtls::{Trust, dev::Authority};
///
/// let ours = Authority::new("example.org".parse()?)?;
/// let partner = Authority::new("partner.example".parse()?)?;
/// let trust = Trust::from(ours.trust_bundle()).federate(partner.trust_bundle())?;
/// assert_eq!(trust.trust_domains().count(), 2);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "dev"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct Trust {
    bundles: Bundles,
    revocation_lists: Option<RevocationLists>,
    unknown_status: UnknownStatus,
}

#[derive(Clone, Debug)]
enum Bundles {
    Plain(TrustBundle),
    Spiffe {
        own: TrustDomain,
        by_domain: Arc<HashMap<TrustDomain, TrustBundle>>,
    },
}

impl Trust {
    /// Adds the bundle of a foreign trust domain, whose peers then are verified too.
    ///
    /// It is an error where either of the bundles has no trust domain, or where the domain has a bundle
    /// already: put all roots of a domain into one.
    pub fn federate(mut self, bundle: TrustBundle) -> Result<Self, InvalidSetting> {
        let invalid = |value, allowed| Err(InvalidSetting::new("federate", value, allowed));

        let Some(domain) = bundle.trust_domain().cloned() else {
            let allowed = "bundles with a trust domain: see `with_trust_domain`";
            return invalid("a bundle without a trust domain".to_owned(), allowed);
        };
        match &mut self.bundles {
            Bundles::Plain(_) => invalid(
                domain.to_string(),
                "nothing beside the bundle of a plain PKI: give this side's own bundle a trust domain",
            ),
            Bundles::Spiffe { by_domain, .. } if by_domain.contains_key(&domain) => {
                invalid(domain.to_string(), "one bundle for each trust domain")
            }
            Bundles::Spiffe { by_domain, .. } => {
                Arc::make_mut(by_domain).insert(domain, bundle);
                Ok(self)
            }
        }
    }

    /// Refuses what these lists revoke, and whatever no current list of its issuer tells about: see
    /// [`unknown_status`](Self::unknown_status). They take the place of the lists before.
    ///
    /// All certificates below the root are looked up, the intermediates too, so every authority that issues
    /// one of them needs a list.
    #[must_use]
    pub fn with_revocation_lists(mut self, lists: RevocationLists) -> Self {
        self.revocation_lists = Some(lists);
        self
    }

    /// What becomes of a certificate whose status is not known, where there are lists. Default:
    /// [`UnknownStatus::Refuse`].
    #[must_use]
    pub fn unknown_status(mut self, unknown: UnknownStatus) -> Self {
        self.unknown_status = unknown;
        self
    }

    /// This side's own trust domain; `None` in a plain PKI.
    pub fn trust_domain(&self) -> Option<&TrustDomain> {
        match &self.bundles {
            Bundles::Plain(_) => None,
            Bundles::Spiffe { own, .. } => Some(own),
        }
    }

    /// All trust domains that there is a bundle for, in no order: none in a plain PKI.
    pub fn trust_domains(&self) -> impl Iterator<Item = &TrustDomain> {
        self.by_domain().map(|(domain, _)| domain)
    }

    /// The revocation lists, if there are any.
    pub fn revocation_lists(&self) -> Option<&RevocationLists> {
        self.revocation_lists.as_ref()
    }

    /// The bundle, in a plain PKI.
    pub(crate) fn plain(&self) -> Option<&TrustBundle> {
        match &self.bundles {
            Bundles::Plain(bundle) => Some(bundle),
            Bundles::Spiffe { .. } => None,
        }
    }

    /// The bundle that alone may vouch for this ID.
    pub(crate) fn bundle_for(&self, id: &SpiffeId) -> Option<&TrustBundle> {
        self.bundle_of(id.trust_domain())
    }

    pub(crate) fn bundle_of(&self, domain: &TrustDomain) -> Option<&TrustBundle> {
        match &self.bundles {
            Bundles::Plain(_) => None,
            Bundles::Spiffe { by_domain, .. } => by_domain.get(domain),
        }
    }

    pub(crate) fn unknown(&self) -> UnknownStatus {
        self.unknown_status
    }

    /// Whether the verdicts by both are sure to be the same. It may be false although they are.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let bundles = match (&self.bundles, &other.bundles) {
            (Bundles::Plain(one), Bundles::Plain(other)) => one.same(other),
            (Bundles::Spiffe { .. }, Bundles::Spiffe { .. }) => {
                let mut bundles = self.by_domain();
                self.trust_domain() == other.trust_domain()
                    && self.trust_domains().count() == other.trust_domains().count()
                    && bundles.all(|(domain, bundle)| {
                        let other = other.bundle_of(domain);
                        other.is_some_and(|other| bundle.same(other))
                    })
            }
            _ => false,
        };
        let revocation = match (&self.revocation_lists, &other.revocation_lists) {
            (Some(one), Some(lists)) => {
                self.unknown_status == other.unknown_status && one.same(lists)
            }
            (None, None) => true,
            _ => false,
        };
        bundles && revocation
    }

    /// The roots' names, which tell a client which certificate to present: all of them, or none where
    /// they are too many for a handshake. A part would keep clients of the other roots away.
    pub(crate) fn hints(&self) -> Vec<DistinguishedName> {
        let bundles = self.plain().into_iter();
        let bundles = bundles.chain(self.by_domain().map(|(_, bundle)| bundle));
        let names = bundles.flat_map(TrustBundle::subjects).collect::<Vec<_>>();
        let bytes = names.iter().map(|name| LENGTH_PREFIX + name.as_ref().len());
        match bytes.sum::<usize>() > MAX_HINT_BYTES {
            true => Vec::new(),
            false => names,
        }
    }

    fn by_domain(&self) -> impl Iterator<Item = (&TrustDomain, &TrustBundle)> {
        let by_domain = match &self.bundles {
            Bundles::Plain(_) => None,
            Bundles::Spiffe { by_domain, .. } => Some(by_domain.iter()),
        };
        by_domain.into_iter().flatten()
    }
}

impl From<TrustBundle> for Trust {
    fn from(bundle: TrustBundle) -> Self {
        let bundles = match bundle.trust_domain().cloned() {
            None => Bundles::Plain(bundle),
            Some(own) => Bundles::Spiffe {
                by_domain: Arc::new(HashMap::from([(own.clone(), bundle)])),
                own,
            },
        };
        Self {
            bundles,
            revocation_lists: None,
            unknown_status: UnknownStatus::default(),
        }
    }
}

const LENGTH_PREFIX: usize = 2;
// TLS carries the list behind a length of two bytes, with some room for what is around it.
const MAX_HINT_BYTES: usize = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_all_of_the_roots_or_none() {
        // 996 bytes, 4 around them, and their length: 60 of these are more than fits, 59 are not.
        for (roots, hints) in [(1, 1), (59, 59), (60, 0), (2_000, 0)] {
            assert_eq!(trust(roots, 996).hints().len(), hints, "{roots} roots");
        }
        assert_eq!(trust(60, 994).hints().len(), 60, "60,000 bytes");
        assert_eq!(trust(1, 100_000).hints().len(), 0, "one name alone");
    }

    #[test]
    fn hints_are_those_of_all_bundles() {
        let bundle = |domain: &str| {
            let bundle = TrustBundle::with_subjects(2, 100);
            bundle.with_trust_domain(domain.parse().unwrap())
        };
        let trust = Trust::from(bundle("one.example")).federate(bundle("two.example"));
        assert_eq!(trust.unwrap().hints().len(), 4);
    }

    fn trust(roots: usize, subject: usize) -> Trust {
        Trust::from(TrustBundle::with_subjects(roots, subject))
    }
}

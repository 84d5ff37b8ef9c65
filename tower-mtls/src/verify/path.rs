//! From the leaf to a root: RFC 5280 by rustls-webpki, and what that leaves out.

use std::{cell::Cell, time::Duration};

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{
    EndEntityCert, Error, ExpirationPolicy, KeyUsage, RevocationOptions, RevocationOptionsBuilder,
    UnknownStatusPolicy, VerifiedPath,
};

use crate::{
    Trust, TrustBundle, UnknownStatus,
    peer::{Issuer, Leaf},
    verify::{
        constraints::{Constraints, Names},
        cut::Cuts,
    },
};

/// What a path is verified against.
pub(crate) struct PathRules<'a> {
    pub(crate) trust: &'a Trust,
    pub(crate) bundle: &'a TrustBundle,
    pub(crate) algorithms: &'static [&'static dyn SignatureVerificationAlgorithm],
    pub(crate) purpose: KeyUsage,
    pub(crate) clock_skew: Duration,
}

impl PathRules<'_> {
    /// Finds a path, and tells when the first of its certificates expires, in seconds since 1970.
    pub(crate) fn verify(
        &self,
        leaf: &Leaf<'_>,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<i64, Error> {
        let (intermediates, cuts) =
            Cuts::of(certificate, intermediates).ok_or(Error::ExtensionValueInvalid)?;
        let whole = cuts.algorithms(match cuts.is_empty() {
            true => &[],
            false => self.algorithms,
        });
        let whole = whole
            .iter()
            .map(|algorithm| algorithm as _)
            .collect::<Vec<_>>();
        let algorithms = match cuts.is_empty() {
            true => self.algorithms,
            false => &whole,
        };

        let first_to_expire = Cell::new(leaf.not_after());
        let check = |path: &VerifiedPath<'_>| {
            first_to_expire.set(self.check_issuers(leaf, path, &cuts)?);
            Ok(())
        };
        let certificate = EndEntityCert::try_from(certificate)?;
        self.within_skew(now, |time| {
            self.with_revocation(|revocation| {
                certificate
                    .verify_for_usage(
                        algorithms,
                        self.bundle.roots(),
                        &intermediates,
                        time,
                        self.purpose,
                        revocation,
                        Some(&check),
                    )
                    .map(drop)
            })
        })?;
        Ok(first_to_expire.get())
    }

    /// Tries again with the clock moved by no more than the skew, where that is what is wrong. The path validation
    /// knows one time for all certificates, hence the smallest move, and in one direction.
    fn within_skew(
        &self,
        now: UnixTime,
        attempt: impl Fn(UnixTime) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let skew = self.clock_skew.as_secs();
        let earliest = now.as_secs().saturating_sub(skew);
        let latest = now.as_secs().saturating_add(skew);

        let mut time = now;
        for _ in 0..MAX_MOVES {
            let error = match attempt(time) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let moved = match &error {
                Error::CertExpired { not_after, .. } => Some(*not_after),
                Error::CertNotValidYet { not_before, .. } => Some(*not_before),
                // A list is out of date from its next update on.
                Error::CrlExpired { next_update, .. } => {
                    let last = next_update.as_secs().saturating_sub(1);
                    Some(UnixTime::since_unix_epoch(Duration::from_secs(last)))
                }
                _ => None,
            };
            let allowed = |moved: &UnixTime| {
                let forward = *moved > now && time >= now && *moved > time;
                let backward = *moved < now && time <= now && *moved < time;
                (forward || backward) && (earliest..=latest).contains(&moved.as_secs())
            };
            match moved.filter(allowed) {
                Some(moved) => time = moved,
                None => return Err(error),
            }
        }
        Err(Error::MaximumPathBuildCallsExceeded)
    }

    fn with_revocation(
        &self,
        attempt: impl Fn(Option<RevocationOptions<'_>>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(lists) = self.trust.revocation_lists() else {
            return attempt(None);
        };
        let (unknown, expired) = match self.trust.unknown() {
            UnknownStatus::Refuse => (UnknownStatusPolicy::Deny, ExpirationPolicy::Enforce),
            UnknownStatus::Accept => (UnknownStatusPolicy::Allow, ExpirationPolicy::Ignore),
        };
        let mut outcome = Err(Error::UnknownRevocationStatus);
        for lists in lists.orders() {
            let options = RevocationOptionsBuilder::new(&lists)
                .map_err(|_| Error::UnknownRevocationStatus)?
                .with_status_policy(unknown)
                .with_expiration_policy(expired)
                .build();
            outcome = attempt(Some(options));
            // Perhaps another list of the same issuer is signed by the key that it has here.
            if !matches!(outcome, Err(Error::InvalidCrlSignatureForPublicKey)) {
                break;
            }
        }
        outcome
    }

    /// The path validation ignores the key usage of issuers and the constraints on URIs.
    fn check_issuers(
        &self,
        leaf: &Leaf<'_>,
        path: &VerifiedPath<'_>,
        cuts: &Cuts,
    ) -> Result<i64, Error> {
        let root = self
            .bundle
            .limits(path.anchor())
            .ok_or(Error::UnknownIssuer)?;
        if !root.may_sign {
            return Err(Error::EndEntityUsedAsCa);
        }
        let constrained = root.constraints.is_some() || !cuts.is_empty();
        let mut names = Names::default();
        if constrained {
            leaf.add_names(&mut names).ok_or(Error::BadDer)?;
        }
        self.check_listed(leaf.issuer_without_point())?;
        let mut first_to_expire = leaf.not_after();
        let mut path_length = 0;
        for issuer in path.intermediate_certificates() {
            let der = issuer.der();
            let issuer = Issuer::read(&der).ok_or(Error::BadDer)?;
            if !issuer.may_sign_certificates() {
                return Err(Error::EndEntityUsedAsCa);
            }
            self.check_listed(issuer.issuer_without_point())?;
            constrain(cuts.constraints(&der), &names)?;
            // Those with the name of their issuer are not counted, and their names not bound: RFC 5280, 6.1.3 (b)
            // and 6.1.4 (l).
            if !issuer.is_self_issued() {
                path_length += 1;
                if constrained {
                    issuer.add_names(&mut names).ok_or(Error::BadDer)?;
                }
            }
            first_to_expire = first_to_expire.min(issuer.not_after());
        }
        constrain(root.constraints.as_ref(), &names)?;
        if root.path_length.is_some_and(|most| path_length > most) {
            return Err(Error::PathLenConstraintViolated);
        }
        Ok(first_to_expire)
    }

    /// Whether a list of its issuer is about a certificate that names no distribution point, if there must be one.
    fn check_listed(&self, issuer: Option<&[u8]>) -> Result<(), Error> {
        match (self.trust.revocation_lists(), self.trust.unknown(), issuer) {
            (Some(lists), UnknownStatus::Refuse, Some(issuer)) => match lists.cover(issuer) {
                true => Ok(()),
                false => Err(Error::UnknownRevocationStatus),
            },
            _ => Ok(()),
        }
    }
}

fn constrain(constraints: Option<&Constraints>, names: &Names) -> Result<(), Error> {
    let allowed = |constraints: &Constraints| constraints.allow(names);
    match constraints.is_none_or(allowed) {
        true => Ok(()),
        false => Err(Error::NameConstraintViolation),
    }
}

/// More certificates of a path than this are refused by the path validation anyway, and each has one move.
const MAX_MOVES: usize = 16;

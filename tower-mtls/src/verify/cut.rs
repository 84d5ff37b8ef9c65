//! The constraints of our kinds, cut out of certificates before the path validation sees them.
//!
//! It refuses to evaluate some name constraints. So these are taken out, and held against the names on the path that
//! it finds. The signature is still verified over the bytes that the issuer signed: see [`Cuts::algorithms`].

use std::borrow::Cow;

use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm,
};

use crate::{
    der::{self, BOOLEAN, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE},
    verify::constraints::Constraints,
};

/// The certificates of a chain that had constraints of our kinds, without them.
#[derive(Debug, Default)]
pub(crate) struct Cuts(Vec<Cut>);

/// A certificate and what was cut out of it.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) constraints: Constraints,
    signed: Box<[u8]>,
    signed_before: Box<[u8]>,
}

impl Cut {
    /// `None` where there is nothing to cut: no constraint of our kinds, or one that is malformed, which the path
    /// validation then refuses.
    pub(crate) fn of(certificate: &[u8]) -> Option<Self> {
        let parts = der::all(der::only(SEQUENCE, certificate)?)?;
        let [signed, algorithm, signature] = parts[..] else {
            return None;
        };
        let (body, constraints) = cut_body(signed.content)?;
        let after = der::write(SEQUENCE, &body);
        let whole = [&after, algorithm.whole, signature.whole].concat();
        Some(Self {
            certificate: der::write(SEQUENCE, &whole).into(),
            constraints,
            signed: after.into(),
            signed_before: signed.whole.into(),
        })
    }
}

impl Cuts {
    /// Cuts where it must be done: the chain as the path validation may see it, and what was cut.
    ///
    /// `None` where a certificate was made to look like another one that is cut: it would borrow the signature of
    /// that one, but not its constraints. Or where more are to be cut than a path can have.
    pub(crate) fn of<'a>(
        leaf: &CertificateDer<'_>,
        intermediates: &'a [CertificateDer<'a>],
    ) -> Option<(Cow<'a, [CertificateDer<'a>]>, Self)> {
        if !intermediates.iter().any(mentions_constraints) {
            return Some((Cow::Borrowed(intermediates), Self::default()));
        }
        let (mut chain, mut uncut, mut cuts) = (Vec::new(), vec![leaf], Vec::new());
        for certificate in intermediates {
            match Cut::of(certificate) {
                Some(cut) => {
                    chain.push(cut.certificate.clone());
                    cuts.push(cut);
                }
                None => {
                    chain.push(certificate.clone());
                    uncut.push(certificate);
                }
            }
        }
        let cuts = Self(cuts);
        match cuts.0.len() > MAX_CUTS || cuts.are_imitated(&uncut) || cuts.are_alike() {
            true => None,
            false => Some((Cow::Owned(chain), cuts)),
        }
    }

    /// The constraints that were cut out of this certificate.
    pub(crate) fn constraints(&self, certificate: &[u8]) -> Option<&Constraints> {
        let cut = self.0.iter().find(|cut| *cut.certificate == *certificate)?;
        Some(&cut.constraints)
    }

    /// The algorithms, which put back what was cut out before they verify.
    pub(crate) fn algorithms(
        &self,
        inner: &'static [&'static dyn SignatureVerificationAlgorithm],
    ) -> Vec<OverWhole<'_>> {
        let over = |inner: &&'static _| OverWhole {
            inner: *inner,
            cuts: &self.0,
        };
        inner.iter().map(over).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a certificate that was not cut looks like one that was.
    fn are_imitated(&self, uncut: &[&CertificateDer<'_>]) -> bool {
        let mut signed = uncut.iter().filter_map(|one| signed_part(one));
        signed.any(|signed| self.0.iter().any(|cut| *cut.signed == *signed))
    }

    /// Whether two different certificates look alike after the cut.
    fn are_alike(&self) -> bool {
        self.0.iter().any(|one| {
            let differs = |other: &Cut| other.signed_before != one.signed_before;
            let alike = |other: &Cut| other.signed == one.signed;
            self.0.iter().any(|other| alike(other) && differs(other))
        })
    }
}

/// An algorithm that verifies what was signed, not what is left of it.
#[derive(Debug)]
pub(crate) struct OverWhole<'a> {
    inner: &'static dyn SignatureVerificationAlgorithm,
    cuts: &'a [Cut],
}

impl SignatureVerificationAlgorithm for OverWhole<'_> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let cut = self.cuts.iter().find(|cut| *cut.signed == *message);
        let message = cut.map_or(message, |cut| &cut.signed_before);
        self.inner.verify_signature(public_key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.inner.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.inner.signature_alg_id()
    }
}

fn mentions_constraints(certificate: &CertificateDer<'_>) -> bool {
    certificate
        .windows(NAME_CONSTRAINTS_ID.len())
        .any(|window| window == NAME_CONSTRAINTS_ID)
}

fn signed_part<'a>(certificate: &'a CertificateDer<'_>) -> Option<&'a [u8]> {
    let (signed, _) = der::first(der::only(SEQUENCE, certificate)?)?;
    Some(signed.whole)
}

/// The content of a TBSCertificate without the constraints, and these.
fn cut_body(body: &[u8]) -> Option<(Vec<u8>, Constraints)> {
    let parts = der::all(body)?;
    let list = parts.iter().find(|part| part.tag == EXTENSIONS)?;
    let extensions = der::all(der::only(SEQUENCE, list.content)?)?;

    let (mut kept, mut found) = (Vec::new(), None);
    for extension in extensions {
        match extension_of(extension.content)? {
            Extension::Other => kept.extend(extension.whole),
            // Twice the same one: let the path validation refuse it.
            Extension::NameConstraints(_) if found.is_some() => return None,
            Extension::NameConstraints(parts) => {
                let (constraints, rest) = Constraints::split(parts.value)?;
                if let Some(rest) = rest {
                    let value = der::write(OCTET_STRING, &rest);
                    kept.extend(der::write(SEQUENCE, &[parts.head, &value].concat()));
                }
                found = Some(constraints);
            }
        }
    }
    let list_after = der::write(EXTENSIONS, &der::write(SEQUENCE, &kept));
    let parts = parts.iter().map(|part| match part.tag == EXTENSIONS {
        true => list_after.as_slice(),
        false => part.whole,
    });
    Some((parts.collect::<Vec<_>>().concat(), found?))
}

enum Extension<'a> {
    NameConstraints(Parts<'a>),
    Other,
}

struct Parts<'a> {
    /// All but the value: the identifier, and whether it is critical.
    head: &'a [u8],
    value: &'a [u8],
}

fn extension_of(content: &[u8]) -> Option<Extension<'_>> {
    let parts = der::all(content)?;
    let (id, value) = match parts[..] {
        [id, value] => (id, value),
        [id, critical, value] if critical.tag == BOOLEAN => (id, value),
        _ => return None,
    };
    if id.tag != OBJECT_IDENTIFIER || value.tag != OCTET_STRING {
        return None;
    }
    if id.whole != NAME_CONSTRAINTS_ID {
        return Some(Extension::Other);
    }
    let head = content.get(..content.len() - value.whole.len())?;
    Some(Extension::NameConstraints(Parts {
        head,
        value: value.content,
    }))
}

// 2.5.29.30, as an element.
const NAME_CONSTRAINTS_ID: &[u8] = &[OBJECT_IDENTIFIER, 3, 0x55, 0x1d, 0x1e];
const EXTENSIONS: u8 = 0xa3;
// A path has no more than seven; some more may be beside it.
const MAX_CUTS: usize = 32;

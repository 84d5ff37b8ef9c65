use std::{fmt, path::Path, sync::Arc};

use rustls::DistinguishedName;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use x509_parser::prelude::X509Version;

use crate::{
    TrustDomain,
    credentials::{certificates, read},
    der::{self, SEQUENCE},
    error::{CredentialsError, CredentialsProblem, Source},
    peer::{Issuer, is_weak_key},
    verify::{constraints::Constraints, cut::Cut},
};

/// The root certificates of one trust domain, or of a plain PKI; cheap to clone.
///
/// A [`Trust`](crate::Trust) is made of one or more of them.
///
/// With a trust domain, peers must present an X.509-SVID of that domain, and their identity is its
/// SPIFFE ID. Any DNS names beside it are ignored. Without one, it is a plain PKI: identities are DNS
/// names, and a SPIFFE ID in a certificate counts for nothing, because nobody vouches for its domain.
///
/// Every certificate of the text must be one of an authority (a version 1 certificate, which cannot
/// say, passes too). A leaf among the roots would trust nobody, and is an error when it is loaded.
/// The validity of a root is not checked: being in the bundle is what makes it trusted. What it says about the
/// paths below it holds: path length, name constraints, and a key usage that must have `keyCertSign`, if there is one.
#[derive(Clone)]
pub struct TrustBundle {
    roots: Arc<[TrustAnchor<'static>]>,
    // One for each root, in the same order.
    limits: Arc<[RootLimits]>,
    trust_domain: Option<TrustDomain>,
}

/// What a root says of itself that the path validation does not ask it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RootLimits {
    pub(crate) constraints: Option<Constraints>,
    /// How many intermediates may stand below, those that are self-issued not counted.
    pub(crate) path_length: Option<u32>,
    pub(crate) may_sign: bool,
}

impl TrustBundle {
    /// Reads one or more root certificates from a PEM text.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CredentialsError> {
        Self::load(pem, &Source::Memory)
    }

    /// Reads one or more root certificates from a PEM file.
    ///
    /// It blocks the thread while it reads: call it at start, or from a thread for blocking work.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, CredentialsError> {
        let (pem, source) = read(path.as_ref())?;
        Self::load(&pem, &source)
    }

    /// Makes it the bundle of a SPIFFE trust domain: only X.509-SVIDs of that domain are accepted.
    #[must_use]
    pub fn with_trust_domain(mut self, trust_domain: TrustDomain) -> Self {
        self.trust_domain = Some(trust_domain);
        self
    }

    /// The trust domain, if it has one.
    pub fn trust_domain(&self) -> Option<&TrustDomain> {
        self.trust_domain.as_ref()
    }

    pub(crate) fn roots(&self) -> &[TrustAnchor<'static>] {
        &self.roots
    }

    /// Whether they hold the same roots, in the same order, for the same domain.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.trust_domain == other.trust_domain
            && self.roots == other.roots
            && self.limits == other.limits
    }

    /// The limits of this root, which is one of ours.
    pub(crate) fn limits(&self, root: &TrustAnchor<'_>) -> Option<&RootLimits> {
        let mut roots = self.roots.iter().zip(&*self.limits);
        // By address, because two roots may differ in nothing but their limits.
        let (_, limits) = roots.find(|(one, _)| std::ptr::eq(*one, root))?;
        Some(limits)
    }

    /// Whether a root has an RSA key that is too short to vouch for anybody.
    pub(crate) fn has_weak_root(&self) -> bool {
        let mut roots = self.roots.iter();
        roots.any(|root| is_weak_key(&der::write(SEQUENCE, &root.subject_public_key_info)))
    }

    /// The names of the roots.
    pub(crate) fn subjects(&self) -> impl Iterator<Item = DistinguishedName> {
        let roots = self.roots.iter();
        roots.map(|root| DistinguishedName::in_sequence(&root.subject))
    }

    #[cfg(test)]
    pub(crate) fn with_subjects(roots: usize, subject: usize) -> Self {
        use rustls_pki_types::Der;

        let root = TrustAnchor {
            subject: Der::from(vec![0; subject]),
            subject_public_key_info: Der::from_slice(&[]),
            name_constraints: None,
        };
        Self {
            roots: vec![root; roots].into(),
            limits: vec![RootLimits::default(); roots].into(),
            trust_domain: None,
        }
    }

    pub(crate) fn load(pem: &[u8], source: &Source) -> Result<Self, CredentialsError> {
        Self::of_roots(&certificates(pem, source)?, source)
    }

    pub(crate) fn of_roots(
        roots: &[CertificateDer<'static>],
        source: &Source,
    ) -> Result<Self, CredentialsError> {
        let roots = roots
            .iter()
            .map(|certificate| root(certificate, source))
            .collect::<Result<Vec<_>, _>>()?;
        let (roots, limits): (Vec<_>, Vec<_>) = roots.into_iter().unzip();
        Ok(Self {
            roots: roots.into(),
            limits: limits.into(),
            trust_domain: None,
        })
    }
}

impl fmt::Debug for TrustBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustBundle")
            .field("roots", &self.roots.len())
            .field("trust_domain", &self.trust_domain)
            .finish()
    }
}

fn root(
    certificate: &CertificateDer<'static>,
    source: &Source,
) -> Result<(TrustAnchor<'static>, RootLimits), CredentialsError> {
    let malformed = || CredentialsError::new(source, CredentialsProblem::MalformedCertificate);

    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| malformed())?;
    // Version 1, which old public roots still use, has no way to say what it is for.
    if parsed.version() != X509Version::V1 && !parsed.is_ca() {
        let problem = CredentialsProblem::NotAnAuthority;
        return Err(CredentialsError::new(source, problem));
    }
    let path_length = match parsed.basic_constraints() {
        Ok(Some(constraints)) => constraints.value.path_len_constraint,
        Ok(None) => None,
        Err(_) => return Err(malformed()),
    };
    let may_sign = Issuer::read(certificate).is_some_and(|root| root.may_sign_certificates());
    let cut = Cut::of(certificate);
    let anchor = {
        let certificate = cut.as_ref().map_or(certificate, |cut| &cut.certificate);
        let anchor = webpki::anchor_from_trusted_cert(certificate);
        anchor
            .map_err(|error| malformed().with_source(error))?
            .to_owned()
    };
    let limits = RootLimits {
        constraints: cut.map(|cut| cut.constraints),
        path_length,
        may_sign,
    };
    Ok((anchor, limits))
}

use std::{fmt, path::Path, sync::Arc};

use rustls::DistinguishedName;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use x509_parser::prelude::X509Version;

use crate::{
    TrustDomain,
    credentials::{certificates, read},
    der::{self, SEQUENCE},
    error::{CredentialsError, CredentialsProblem, Source},
    peer::is_weak_key,
    verify::constraints::{Cut, UriConstraints},
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
/// The validity of a root is not checked: being in the bundle is what makes it trusted.
#[derive(Clone)]
pub struct TrustBundle {
    roots: Arc<[TrustAnchor<'static>]>,
    // One for each root, in the same order.
    uri_constraints: Arc<[Option<UriConstraints>]>,
    trust_domain: Option<TrustDomain>,
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
        let constraints = || self.uri_constraints.iter().zip(&*other.uri_constraints);
        self.trust_domain == other.trust_domain
            && self.roots == other.roots
            && constraints().all(|(one, other)| one == other)
    }

    /// What this root, which is one of ours, says about URI names.
    pub(crate) fn uri_constraints(&self, root: &TrustAnchor<'_>) -> Option<&UriConstraints> {
        let mut roots = self.roots.iter().zip(&*self.uri_constraints);
        // By address, because two roots may differ in nothing but their constraints.
        let (_, constraints) = roots.find(|(one, _)| std::ptr::eq(*one, root))?;
        constraints.as_ref()
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
            uri_constraints: vec![None; roots].into(),
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
        let (roots, uri_constraints): (Vec<_>, Vec<_>) = roots.into_iter().unzip();
        Ok(Self {
            roots: roots.into(),
            uri_constraints: uri_constraints.into(),
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
) -> Result<(TrustAnchor<'static>, Option<UriConstraints>), CredentialsError> {
    let malformed = || CredentialsError::new(source, CredentialsProblem::MalformedCertificate);

    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| malformed())?;
    // Version 1, which old public roots still use, has no way to say what it is for.
    if parsed.version() != X509Version::V1 && !parsed.is_ca() {
        let problem = CredentialsProblem::NotAnAuthority;
        return Err(CredentialsError::new(source, problem));
    }
    let cut = Cut::of(certificate);
    let certificate = cut.as_ref().map_or(certificate, |cut| &cut.certificate);
    let anchor = webpki::anchor_from_trusted_cert(certificate)
        .map_err(|error| malformed().with_source(error))?;
    Ok((anchor.to_owned(), cut.map(|cut| cut.constraints)))
}

//! Whom this side trusts.

use std::{fmt, path::Path, sync::Arc};

use rustls::DistinguishedName;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use x509_parser::prelude::X509Version;

use crate::{
    TrustDomain,
    credentials::{certificates, read},
    error::{CredentialsError, CredentialsProblem, Source},
};

/// The root certificates that vouch for peers; cheap to clone.
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

    /// Whether a peer that one vouches for is vouched for by the other.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.roots == other.roots && self.trust_domain == other.trust_domain
    }

    /// The roots' names, which tell a client which certificate to present: all of them, or none where
    /// they are too many for a handshake. A part would keep clients of the other roots away.
    pub(crate) fn hints(&self) -> Vec<DistinguishedName> {
        let names = self.roots.iter();
        let names = names.map(|root| DistinguishedName::in_sequence(&root.subject));
        let names = names.collect::<Vec<_>>();
        let bytes = names.iter().map(|name| LENGTH_PREFIX + name.as_ref().len());
        match bytes.sum::<usize>() > MAX_HINT_BYTES {
            true => Vec::new(),
            false => names,
        }
    }

    fn load(pem: &[u8], source: &Source) -> Result<Self, CredentialsError> {
        let roots = certificates(pem, source)?
            .iter()
            .map(|certificate| root(certificate, source))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            roots,
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
) -> Result<TrustAnchor<'static>, CredentialsError> {
    let malformed = || CredentialsError::new(source, CredentialsProblem::MalformedCertificate);

    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| malformed())?;
    // Version 1, which old public roots still use, has no way to say what it is for.
    if parsed.version() != X509Version::V1 && !parsed.is_ca() {
        let problem = CredentialsProblem::NotAnAuthority;
        return Err(CredentialsError::new(source, problem));
    }
    let anchor = webpki::anchor_from_trusted_cert(certificate)
        .map_err(|error| malformed().with_source(error))?;
    Ok(anchor.to_owned())
}

const LENGTH_PREFIX: usize = 2;
// TLS carries the list behind a length of two bytes, with some room for what is around it.
const MAX_HINT_BYTES: usize = 60_000;

#[cfg(test)]
mod tests {
    use rustls_pki_types::Der;

    use super::*;

    #[test]
    fn hints_are_all_of_the_roots_or_none() {
        // 996 bytes, 4 around them, and their length: 60 of these are more than fits, 59 are not.
        for (roots, hints) in [(1, 1), (59, 59), (60, 0), (2_000, 0)] {
            assert_eq!(bundle(roots, 996).hints().len(), hints, "{roots} roots");
        }
        assert_eq!(bundle(60, 994).hints().len(), 60, "60,000 bytes");
        assert_eq!(bundle(1, 100_000).hints().len(), 0, "one name alone");
    }

    fn bundle(roots: usize, subject: usize) -> TrustBundle {
        let root = TrustAnchor {
            subject: Der::from(vec![0; subject]),
            subject_public_key_info: Der::from_slice(&[]),
            name_constraints: None,
        };
        TrustBundle {
            roots: vec![root; roots].into(),
            trust_domain: None,
        }
    }
}

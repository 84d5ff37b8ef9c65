use std::{
    error::Error,
    fmt,
    path::{Path, PathBuf},
};

use crate::error::BoxError;

/// A certificate chain, private key, trust bundle or revocation list that cannot be used.
#[derive(Debug)]
pub struct CredentialsError {
    source_name: Source,
    problem: CredentialsProblem,
    source: Option<BoxError>,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialsProblem {
    /// The file cannot be read.
    Unreadable,
    /// The PEM text is damaged.
    MalformedPem,
    /// There is no certificate in it.
    NoCertificate,
    /// There is no private key in it.
    NoPrivateKey,
    /// A certificate is damaged.
    MalformedCertificate,
    /// The private key is damaged or of an unknown kind.
    UnusableKey,
    /// The private key does not belong to the first certificate of the chain.
    KeyMismatch,
    /// A certificate of the trust bundle is not one of a certificate authority.
    NotAnAuthority,
    /// There is no revocation list in it.
    NoRevocationList,
    /// A revocation list is damaged, or of a kind that is not supported (delta or indirect).
    MalformedRevocationList,
    /// No cryptography is compiled in.
    NoProvider,
}

/// Where a text came from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Memory,
    #[cfg(feature = "spiffe")]
    WorkloadApi,
    File(PathBuf),
}

impl CredentialsError {
    pub(crate) fn new(source_name: &Source, problem: CredentialsProblem) -> Self {
        Self {
            source_name: source_name.clone(),
            problem,
            source: None,
        }
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What is wrong.
    pub fn problem(&self) -> CredentialsProblem {
        self.problem
    }

    /// The file that it is about; `None` for a text in memory.
    pub fn path(&self) -> Option<&Path> {
        match &self.source_name {
            Source::File(path) => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.source_name, self.problem.text())?;
        match &self.source {
            Some(source) => write!(f, " ({source})"),
            None => Ok(()),
        }
    }
}

impl Error for CredentialsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|error| error as _)
    }
}

impl CredentialsProblem {
    fn text(self) -> &'static str {
        match self {
            Self::Unreadable => "cannot be read: check that it exists and its permissions",
            Self::MalformedPem => "is not valid PEM: write the file anew",
            Self::NoCertificate => "holds no certificate: it needs a `BEGIN CERTIFICATE` block",
            Self::NoPrivateKey => {
                "holds no private key: it needs an unencrypted `BEGIN PRIVATE KEY` block"
            }
            Self::MalformedCertificate => "holds a damaged certificate: have it issued anew",
            Self::UnusableKey => {
                "holds a private key that cannot be used: \
                 it must be an unencrypted ECDSA, Ed25519 or RSA key"
            }
            Self::KeyMismatch => {
                "holds a private key that does not belong to the first certificate of the chain: \
                 put the leaf first, and its own key beside it"
            }
            Self::NotAnAuthority => {
                "holds a certificate that is not a certificate authority's: \
                 a trust bundle holds roots, not leaves"
            }
            Self::NoRevocationList => "holds no revocation list: it needs a `BEGIN X509 CRL` block",
            Self::MalformedRevocationList => {
                "holds a revocation list that cannot be used: \
                 it must be whole, neither a delta nor an indirect list"
            }
            Self::NoProvider => {
                "cannot be used: tower-mtls is compiled without cryptography; \
                 enable its feature `aws-lc-rs` or `ring`"
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("PEM in memory"),
            #[cfg(feature = "spiffe")]
            Self::WorkloadApi => f.write_str("the answer of the SPIFFE Workload API"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

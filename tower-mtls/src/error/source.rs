use std::{error::Error, fmt, sync::Arc};

use crate::error::{BoxError, CredentialsError, CredentialsProblem};

/// A rotation that did not happen: what was there before stays in force.
#[derive(Clone, Debug)]
pub struct SourceError {
    failure: Failure,
    detail: Arc<str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// Why a rotation failed: few and fixed, so that it can label a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// A file cannot be read.
    Unreadable,
    /// A file or message is damaged, half written, or lacks a part.
    Malformed,
    /// The private key does not belong to the certificate.
    KeyMismatch,
    /// The private key is of an unknown kind, or there is no cryptography for it.
    UnusableKey,
    /// The new certificate has expired.
    Expired,
    /// The files change faster than they can be read.
    Changing,
    /// What hands out the credentials cannot be reached.
    Unavailable,
    /// What hands out the credentials has none for this workload.
    Refused,
}

impl SourceError {
    /// For sources of your own. The detail is logged: let it hold no secret.
    pub fn new(failure: Failure, detail: impl Into<Arc<str>>) -> Self {
        Self {
            failure,
            detail: detail.into(),
            source: None,
        }
    }

    /// Why it failed.
    pub fn failure(&self) -> Failure {
        self.failure
    }

    /// Adds the cause. It is logged: let it hold no secret.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Whether it says the same: such an error is counted and logged once.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.failure == other.failure && self.detail == other.detail
    }
}

impl From<CredentialsError> for SourceError {
    fn from(error: CredentialsError) -> Self {
        use CredentialsProblem as Problem;

        let failure = match error.problem() {
            Problem::Unreadable => Failure::Unreadable,
            Problem::KeyMismatch => Failure::KeyMismatch,
            Problem::UnusableKey | Problem::NoProvider => Failure::UnusableKey,
            _ => Failure::Malformed,
        };
        Self::new(failure, error.to_string()).with_source(error)
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no new credentials ({}): {}", self.failure, self.detail)
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|error| error as _)
    }
}

impl Failure {
    /// Every failure, for those who export one time series for each.
    pub const ALL: &'static [Self] = &[
        Self::Unreadable,
        Self::Malformed,
        Self::KeyMismatch,
        Self::UnusableKey,
        Self::Expired,
        Self::Changing,
        Self::Unavailable,
        Self::Refused,
    ];

    pub(crate) const COUNT: usize = Self::ALL.len();

    /// A short name in snake case, for logs and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Malformed => "malformed",
            Self::KeyMismatch => "key_mismatch",
            Self::UnusableKey => "unusable_key",
            Self::Expired => "expired",
            Self::Changing => "changing",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

//! What can go wrong, and what to do about it.

mod credentials;
mod denied;
mod ended;
mod handshake;
mod reason;
mod source;

use std::{borrow::Cow, error::Error, fmt, sync::Arc};

pub(crate) use self::{credentials::Source, handshake::Rejection};
pub use self::{
    credentials::{CredentialsError, CredentialsProblem},
    denied::{Denied, DenyReason},
    ended::PeerNoLongerValid,
    handshake::HandshakeError,
    reason::Reason,
    source::{Failure, SourceError},
};

/// The error of services that add a failure of their own to those of the service inside.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A text that is not the name it was meant to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidIdentity {
    input: Box<str>,
    rule: &'static str,
}

impl InvalidIdentity {
    pub(crate) fn new(input: &str, rule: &'static str) -> Self {
        // A peer may choose the input: keep only what a person would read.
        let shown = input.chars().take(MAX_SHOWN).collect::<String>();
        Self {
            input: shown.into(),
            rule,
        }
    }

    /// The text, cut after 120 characters.
    pub fn input(&self) -> &str {
        &self.input
    }

    /// The rule that it breaks.
    pub fn rule(&self) -> &'static str {
        self.rule
    }
}

impl fmt::Display for InvalidIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a valid identity: {}", self.input, self.rule)
    }
}

impl Error for InvalidIdentity {}

/// A setting that a builder refuses.
#[derive(Clone, Debug)]
pub struct InvalidSetting {
    field: &'static str,
    value: Cow<'static, str>,
    allowed: &'static str,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl InvalidSetting {
    pub(crate) fn new(
        field: &'static str,
        value: impl Into<Cow<'static, str>>,
        allowed: &'static str,
    ) -> Self {
        Self {
            field,
            value: value.into(),
            allowed,
            source: None,
        }
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// The setting's name.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// The refused value, as text.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What is allowed in its place.
    pub fn allowed(&self) -> &'static str {
        self.allowed
    }
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            value,
            allowed,
            ..
        } = self;
        write!(f, "setting `{field}` is {value}; allowed: {allowed}")
    }
}

impl Error for InvalidSetting {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|error| error as _)
    }
}

const MAX_SHOWN: usize = 120;

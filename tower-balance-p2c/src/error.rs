//! What can go wrong before a request reaches an endpoint.

use std::{error::Error, fmt, time::Duration};

/// Any error, as the services of this crate return it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// No endpoint could take the request within the bound on waiting.
///
/// The request was not sent, so it is safe to send it again. [`source`](Error::source) is the last
/// readiness error that this request met, if it met one.
#[derive(Debug)]
pub struct NoEndpoint {
    endpoints: usize,
    waited: Duration,
    source: Option<BoxError>,
}

/// Why there was no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Discovery has named no endpoint, or has removed all of them.
    Empty,
    /// There are endpoints, but none was ready.
    NotReady,
}

impl NoEndpoint {
    pub(crate) fn new(endpoints: usize, waited: Duration, source: Option<BoxError>) -> Self {
        Self {
            endpoints,
            waited,
            source,
        }
    }

    /// Whether there were no endpoints at all, or none that was ready.
    pub fn reason(&self) -> Reason {
        match self.endpoints {
            0 => Reason::Empty,
            _ => Reason::NotReady,
        }
    }

    /// The number of endpoints in the set when the request gave up.
    pub fn endpoints(&self) -> usize {
        self.endpoints
    }

    /// How long the request had waited.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl fmt::Display for NoEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waited = self.waited;
        match self.reason() {
            Reason::Empty => write!(
                f,
                "there is no endpoint after waiting {waited:?}: discovery has named none, or its \
                 driver does not run"
            ),
            Reason::NotReady => write!(
                f,
                "none of {} endpoints became ready within {waited:?}: see why they are down or \
                 full, or wait longer",
                self.endpoints
            ),
        }
    }
}

impl Error for NoEndpoint {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}

/// A setting is outside its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSetting {
    field: &'static str,
    value: String,
    allowed: &'static str,
}

impl InvalidSetting {
    pub(crate) fn new(field: &'static str, value: &impl fmt::Debug, allowed: &'static str) -> Self {
        Self {
            field,
            value: format!("{value:?}"),
            allowed,
        }
    }

    /// The name of the setting.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// The value that was refused.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The range that is allowed.
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
        } = self;
        write!(f, "`{field}` is {value}, but must be {allowed}")
    }
}

impl Error for InvalidSetting {}

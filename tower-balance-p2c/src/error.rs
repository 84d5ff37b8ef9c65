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
    counts: EndpointCounts,
    waited: Duration,
    source: Option<BoxError>,
}

/// How many endpoints there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EndpointCounts {
    pub(crate) endpoints: usize,
    pub(crate) ready: usize,
    /// Of those that were ready.
    pub(crate) ejected: usize,
}

/// Why there was no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Discovery has named no endpoint, or has removed all of them.
    Empty,
    /// There are endpoints, but none was ready, or only such as have as many requests as their
    /// probation allows.
    NotReady,
    /// All that were ready are ejected for their failures, and so few of them can be used that
    /// [`panic`](crate::Ejection::panic) would have to be higher to try them all the same.
    Ejected,
}

impl NoEndpoint {
    pub(crate) fn new(counts: EndpointCounts, waited: Duration, source: Option<BoxError>) -> Self {
        Self {
            counts,
            waited,
            source,
        }
    }

    /// Whether there were no endpoints at all, none that was ready, or none that was not ejected.
    pub fn reason(&self) -> Reason {
        match self.counts {
            EndpointCounts { endpoints: 0, .. } => Reason::Empty,
            EndpointCounts { ready, ejected, .. } if ejected > 0 && ejected == ready => {
                Reason::Ejected
            }
            _ => Reason::NotReady,
        }
    }

    /// The number of endpoints in the set when the request gave up.
    pub fn endpoints(&self) -> usize {
        self.counts.endpoints
    }

    /// How many of them were ready.
    pub fn ready(&self) -> usize {
        self.counts.ready
    }

    /// How many of those that were ready are ejected.
    pub fn ejected(&self) -> usize {
        self.counts.ejected
    }

    /// How long the request had waited.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl fmt::Display for NoEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waited = self.waited;
        let EndpointCounts {
            endpoints,
            ready,
            ejected,
        } = self.counts;
        match self.reason() {
            Reason::Empty => write!(
                f,
                "there is no endpoint after waiting {waited:?}: discovery has named none, or its \
                 driver does not run"
            ),
            Reason::NotReady => write!(
                f,
                "none of {endpoints} endpoints became ready within {waited:?}: see why they are \
                 down or full, or wait longer"
            ),
            Reason::Ejected => write!(
                f,
                "none of {endpoints} endpoints could be used within {waited:?}: {ready} are ready, \
                 of which {ejected} are ejected for their failures; see why they fail"
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

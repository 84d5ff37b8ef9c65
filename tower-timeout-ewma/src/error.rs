//! Errors: what happened, with numbers.

use std::{error::Error, fmt, time::Duration};

use crate::Scope;

/// Any error that can be sent between threads: what a layer that adds a failure of its own returns.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What was waited for did not come within the limit, and the request was dropped.
///
/// The peer may still have done the work, unless the [scope](Self::scope) is readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed {
    limit: Duration,
    elapsed: Duration,
    scope: Scope,
}

impl Elapsed {
    pub(crate) fn new(limit: Duration, elapsed: Duration, scope: Scope) -> Self {
        Self {
            limit,
            elapsed,
            scope,
        }
    }

    /// The limit that was in force for this request.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// How long the request had been running when it was given up: the limit, and what the timer
    /// and the executor were late.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// What did not come in time.
    pub fn scope(&self) -> Scope {
        self.scope
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            limit,
            elapsed,
            scope,
        } = self;
        let what = match scope {
            Scope::Readiness => "the service was not ready",
            Scope::Response => "no answer",
            Scope::BodyIdle => "the body of the answer paused and did not go on",
            Scope::WholeBody => "the answer had not ended",
        };
        let then = match scope {
            Scope::Readiness => "the request was not sent",
            _ => "the request was dropped, the peer may still have done the work",
        };
        write!(
            f,
            "{what} after {elapsed:?}, the limit was {limit:?}: {then}"
        )
    }
}

impl Error for Elapsed {}

/// The deadline of the request has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    limit: Duration,
    overdue: Duration,
    before_start: bool,
}

impl Expired {
    pub(crate) fn refused(overdue: Duration) -> Self {
        Self {
            limit: Duration::ZERO,
            overdue,
            before_start: true,
        }
    }

    pub(crate) fn ended(limit: Duration, overdue: Duration) -> Self {
        Self {
            limit,
            overdue,
            before_start: false,
        }
    }

    /// Whether the request was refused before it was sent, so that no work was done for it.
    pub fn before_start(&self) -> bool {
        self.before_start
    }

    /// The time that was left when the request reached the layer; zero if it was refused.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// How long the deadline had passed when that was noticed.
    pub fn overdue(&self) -> Duration {
        self.overdue
    }
}

impl fmt::Display for Expired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, overdue, .. } = self;
        if self.before_start {
            write!(
                f,
                "the deadline had passed {overdue:?} before the request could be sent: it was not sent"
            )
        } else {
            write!(
                f,
                "no answer within the {limit:?} left until the deadline, which passed {overdue:?} ago: the request was dropped, the peer may still have done the work"
            )
        }
    }
}

impl Error for Expired {}

/// A value is not a timeout in the form of the `grpc-timeout` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedGrpcTimeout(());

impl MalformedGrpcTimeout {
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for MalformedGrpcTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed grpc-timeout: send one to eight digits and one unit of H M S m u n")
    }
}

impl Error for MalformedGrpcTimeout {}

/// A value is not a timeout in the form of the `x-envoy-expected-rq-timeout-ms` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedEnvoyTimeout(());

impl MalformedEnvoyTimeout {
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for MalformedEnvoyTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "malformed x-envoy-expected-rq-timeout-ms: send digits, a number of milliseconds",
        )
    }
}

impl Error for MalformedEnvoyTimeout {}

/// A setting is outside the range that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSetting {
    field: &'static str,
    value: String,
    allowed: &'static str,
}

impl InvalidSetting {
    pub(crate) fn new(field: &'static str, value: &dyn fmt::Debug, allowed: &'static str) -> Self {
        Self {
            field,
            value: format!("{value:?}"),
            allowed,
        }
    }

    /// The setting, by the name that its builder gives it.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// The value that was refused.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The values that are allowed.
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
        write!(f, "`{field}` is {value}: set it to {allowed}")
    }
}

impl Error for InvalidSetting {}

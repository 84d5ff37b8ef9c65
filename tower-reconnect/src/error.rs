//! What can go wrong.
//!
//! Everything here is `Send + Sync + 'static` and found again by downcasting: the service's error
//! type is a [`BoxError`].

use std::{error::Error, fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

/// A boxed error, as tower has it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a connection could not be made or was lost, shared by all who are told.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// A setting is outside of its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSetting {
    field: &'static str,
    value: String,
    allowed: &'static str,
}

impl InvalidSetting {
    pub(crate) fn new(field: &'static str, value: String, allowed: &'static str) -> Self {
        Self {
            field,
            value,
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

/// There is no connection and the next dial is not due yet. Only [`Mode::FailFast`] says so.
///
/// The [`source`](Error::source) is why the last dial failed or the last connection was lost. The
/// request was never sent: it can be retried, at once elsewhere or here after
/// [`next_attempt`](Self::next_attempt).
///
/// [`Mode::FailFast`]: crate::Mode::FailFast
#[derive(Clone, Debug)]
pub struct Unavailable {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) cause: Cause,
    pub(crate) failures: u32,
    pub(crate) wait: Duration,
    pub(crate) next_attempt: Instant,
}

impl Unavailable {
    /// The name that the builder was given.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Why there is no connection: the same as [`source`](Error::source), but to keep.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// How many dials and connections have failed since the last stable connection.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// When the next dial is due.
    pub fn next_attempt(&self) -> Instant {
        self.next_attempt
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failures = self.failures;
        let wait = self.wait;
        f.write_str("no connection")?;
        write_name(f, self.name())?;
        write!(
            f,
            " after {failures} failed in a row: retry in {wait:?}, or elsewhere"
        )
    }
}

impl Error for Unavailable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.cause)
    }
}

/// Making a connection took longer than the connect timeout. It is the cause of a failed dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectTimeout {
    after: Duration,
}

impl ConnectTimeout {
    pub(crate) fn new(after: Duration) -> Self {
        Self { after }
    }

    /// The connect timeout that ran out.
    pub fn after(&self) -> Duration {
        self.after
    }
}

impl fmt::Display for ConnectTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = self.after;
        write!(f, "no connection within the connect timeout of {after:?}")
    }
}

impl Error for ConnectTimeout {}

/// The service that makes connections panicked. It is the cause of a failed dial.
#[derive(Clone, Debug)]
pub struct ConnectPanic {
    message: String,
}

impl ConnectPanic {
    pub(crate) fn new(message: String) -> Self {
        Self { message }
    }

    /// The panic's message.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ConnectPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "making a connection panicked: {}", self.message)
    }
}

impl Error for ConnectPanic {}

/// The first poll came from outside of a tokio runtime, where no task can dial.
///
/// A later poll from within one starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoRuntime;

impl fmt::Display for NoRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot dial outside of a tokio runtime: poll from within one")
    }
}

impl Error for NoRuntime {}

/// The task that dials has ended while handles were left, so there will be no connection again.
///
/// That happens when the runtime that it was started on is shut down or was built without a timer.
#[derive(Clone, Debug)]
pub struct Closed {
    pub(crate) name: Option<Arc<str>>,
}

impl Closed {
    /// The name that the builder was given.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connector task")?;
        write_name(f, self.name())?;
        f.write_str(" has ended, its runtime was shut down or has no timer: build a new service")
    }
}

impl Error for Closed {}

/// The service was called before it was polled ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotReady;

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("called without a connection: call `poll_ready` until it is ready first")
    }
}

impl Error for NotReady {}

fn write_name(f: &mut fmt::Formatter<'_>, name: Option<&str>) -> fmt::Result {
    name.map_or(Ok(()), |name| write!(f, " to `{name}`"))
}

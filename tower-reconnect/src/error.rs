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

/// There is no connection, and the handle does not wait any longer for one. [`Mode::FailFast`] and
/// [`Mode::BoundedWait`] say so.
///
/// The [`source`](Error::source) is why the last dial failed or the last connection was lost. The
/// request was never sent: it can be retried, at once elsewhere or here after
/// [`next_attempt`](Self::next_attempt).
///
/// [`Mode::FailFast`]: crate::Mode::FailFast
/// [`Mode::BoundedWait`]: crate::Mode::BoundedWait
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

    /// When the next dial is due, which is now if it is under way.
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
        match (failures, wait.is_zero()) {
            (0, true) => f.write_str(" yet, and a dial is under way: retry, or elsewhere"),
            (0, false) => write!(f, " yet: retry in {wait:?}, or elsewhere"),
            (_, true) => write!(
                f,
                " after {failures} failed in a row, and a dial is under way: retry, or elsewhere"
            ),
            (_, false) => write!(
                f,
                " after {failures} failed in a row: retry in {wait:?}, or elsewhere"
            ),
        }
    }
}

impl Error for Unavailable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.cause)
    }
}

/// The dial was due or under way when a bounded wait ended, and nothing had failed before. It is the
/// cause in an [`Unavailable`] of [`Mode::BoundedWait`](crate::Mode::BoundedWait).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StillConnecting {
    pub(crate) waited: Duration,
}

impl StillConnecting {
    /// The bound of the wait.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl fmt::Display for StillConnecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waited = self.waited;
        write!(f, "no dial has ended within a wait of {waited:?}")
    }
}

impl Error for StillConnecting {}

/// The request was handed to a connection that ended before it was sent, by the rule of
/// [`Builder::unsent_when`](crate::Builder::unsent_when).
///
/// The other end has seen nothing of it, so it is safe to send again, whatever its method. The
/// [`source`](Error::source) is the connection's own error.
#[derive(Debug)]
pub struct NotSent {
    source: BoxError,
}

impl NotSent {
    pub(crate) fn new(source: BoxError) -> Self {
        Self { source }
    }

    /// The connection's own error.
    pub fn into_source(self) -> BoxError {
        self.source
    }
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection ended before the request was sent: send it again")
    }
}

impl Error for NotSent {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// Whether `error`, or one among its sources, is of this crate and says that the request was not
/// sent. Then it is safe to send again, whatever its method.
pub fn is_unsent(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let ours = error.is::<NotSent>()
            || error.is::<Unavailable>()
            || error.is::<NoRuntime>()
            || error.is::<Closed>()
            || error.is::<NotReady>();
        if ours {
            return true;
        }
        next = error.source();
    }
    false
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
/// That happens when the runtime that it dials or waits on is shut down or was built without a timer.
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

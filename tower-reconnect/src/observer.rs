//! What happens to connections, as it happens.

use std::{
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use crate::error::Cause;

/// Is told what happens to connections: [`Builder::observer`](crate::Builder::observer).
///
/// Any `Fn(&Event<'_>)` is one. It is called where the event happens, by the task that dials or by
/// the handle that has noticed, and without a lock: so it should be quick, and two events that
/// happen at the same time on two threads may be told in either order. If it panics that is
/// logged, and nothing else comes of it. Nothing is told for each request.
pub trait Observer: Send + Sync + 'static {
    /// Something has happened.
    fn event(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync + 'static> Observer for F {
    fn event(&self, event: &Event<'_>) {
        self(event);
    }
}

/// What can happen to connections. Each is told by its number: the first is 1.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A dial has begun.
    DialStarted,
    /// A dial has made a connection.
    #[non_exhaustive]
    Connected {
        /// The new connection.
        connection: u64,
        /// How long the dial took.
        took: Duration,
        /// How many dials and connections had failed since the last stable connection.
        failures: u32,
    },
    /// A dial has failed.
    #[non_exhaustive]
    DialFailed {
        /// Why.
        cause: &'a Cause,
        /// How long the dial took.
        took: Duration,
        /// How many dials and connections have failed since the last stable connection.
        failures: u32,
        /// When the next dial is due, from now.
        retry_in: Duration,
    },
    /// A connection has died, and a handle has noticed.
    #[non_exhaustive]
    Lost {
        /// Which one.
        connection: u64,
        /// Why.
        cause: &'a Cause,
        /// How long after it was made that was noticed.
        age: Duration,
        /// When the next dial is due, from now, if the connection died before it was stable.
        retry_in: Option<Duration>,
    },
    /// The other end has retired a connection, by the rule of
    /// [`Builder::retired_when`](crate::Builder::retired_when).
    #[non_exhaustive]
    Retired {
        /// Which one.
        connection: u64,
        /// The error by which it told.
        cause: &'a Cause,
        /// How long after it was made that was noticed.
        age: Duration,
        /// When the next dial is due, from now, if the connection had not done its work and was not
        /// stable.
        retry_in: Option<Duration>,
    },
    /// A connection has reached its maximum age: the next one is there, and this one drains.
    #[non_exhaustive]
    Replaced {
        /// Which one.
        connection: u64,
        /// How long it has served.
        age: Duration,
    },
    /// A connection was closed because nobody had used it for the idle time, or because it was to be
    /// renewed and no handle had it.
    #[non_exhaustive]
    Unused {
        /// Which one.
        connection: u64,
        /// How long it was there.
        age: Duration,
    },
    /// The last handle is gone, or the runtime: nothing is dialled any more.
    Closed,
}

/// Who is told, and by which name in traces.
#[derive(Clone, Default)]
pub(crate) struct Told {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

impl Told {
    /// Nothing when there is nobody to tell, and no name.
    pub(crate) fn share(self) -> Option<Arc<Self>> {
        let any = self.name.is_some() || self.observer.is_some();
        any.then(|| Arc::new(self))
    }

    /// Leaves others who share it as they are.
    pub(crate) fn change(told: &mut Option<Arc<Self>>, change: impl FnOnce(&mut Self)) {
        change(Arc::make_mut(told.get_or_insert_default()));
    }

    /// Not to be called under a lock.
    pub(crate) fn tell(told: Option<&Self>, event: &Event<'_>) {
        let name = told.and_then(|told| told.name.as_deref());
        log(name, event);
        let Some(observer) = told.and_then(|told| told.observer.as_ref()) else {
            return;
        };
        // What becomes of a connection must not depend on whoever watches it.
        if catch_unwind(AssertUnwindSafe(|| observer.event(event))).is_err() {
            tracing::error!(name, "the observer panicked");
        }
    }
}

fn log(name: Option<&str>, event: &Event<'_>) {
    match *event {
        Event::DialStarted => tracing::debug!(name, "dialling"),
        // A connection that takes another's place is nothing to tell of.
        Event::Connected {
            connection,
            took,
            failures,
        } if connection == 1 || failures > 0 => tracing::info!(name, ?took, "connected"),
        Event::Connected { took, .. } => tracing::debug!(name, ?took, "connected again"),
        Event::DialFailed {
            cause,
            took,
            failures,
            retry_in: delay,
        } => {
            let error = as_error(cause);
            tracing::warn!(name, error, ?took, ?delay, failures, "dial failed");
        }
        Event::Lost {
            cause,
            age,
            retry_in: Some(delay),
            ..
        } => {
            let error = as_error(cause);
            tracing::warn!(
                name,
                error,
                ?age,
                ?delay,
                "connection lost before it was stable"
            );
        }
        Event::Lost { cause, age, .. } => {
            tracing::debug!(name, error = as_error(cause), ?age, "connection lost");
        }
        Event::Retired {
            cause,
            age,
            retry_in: Some(delay),
            ..
        } => {
            let error = as_error(cause);
            tracing::warn!(
                name,
                error,
                ?age,
                ?delay,
                "connection retired before it did its work"
            );
        }
        Event::Retired { cause, age, .. } => {
            tracing::debug!(name, error = as_error(cause), ?age, "connection retired");
        }
        Event::Replaced { age, .. } => tracing::debug!(name, ?age, "connection replaced"),
        Event::Unused { age, .. } => tracing::debug!(name, ?age, "unused connection closed"),
        Event::Closed => tracing::debug!(name, "closed"),
    }
}

fn as_error(cause: &Cause) -> &(dyn Error + 'static) {
    &**cause
}

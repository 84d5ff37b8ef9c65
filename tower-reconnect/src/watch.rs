//! The connection's state, for whoever wants to see it.

use std::fmt;

use tokio::{sync::watch, time::Instant};

use crate::{
    error::Cause,
    stats::Stats,
    view::{Phase, View},
};

/// Sees the state of a connection and the changes of it.
///
/// A watch keeps neither the connection nor the task that dials alive, and wants no connection: a
/// watch alone never makes one dial.
#[derive(Clone)]
pub struct Watch {
    published: watch::Receiver<Published>,
}

impl Watch {
    pub(crate) fn new(published: watch::Receiver<Published>) -> Self {
        Self { published }
    }

    /// The state now.
    pub fn state(&self) -> State {
        self.published.borrow().state.clone()
    }

    /// What has happened so far.
    pub fn stats(&self) -> Stats {
        self.published.borrow().stats
    }

    /// Why the last dial failed or the last connection was lost, even if there is one again.
    pub fn last_cause(&self) -> Option<Cause> {
        self.published.borrow().last_cause.clone()
    }

    /// Waits until the state has changed since the last call, or since this watch was made.
    ///
    /// Returns `false` when it cannot change any more, because the last handle is gone. States
    /// that follow each other closely may be seen as one change: read the latest with
    /// [`state`](Self::state).
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped misses nothing: the next one returns at once if there was a change.
    pub async fn changed(&mut self) -> bool {
        self.published.changed().await.is_ok()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let published = self.published.borrow();
        f.debug_struct("Watch")
            .field("state", &published.state)
            .field("stats", &published.stats)
            .finish()
    }
}

/// What a connection is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum State {
    /// There is no connection and no dial. Nobody has asked for one, or the dial is put off by
    /// [`first_dial_jitter`](crate::Builder::first_dial_jitter).
    Idle,
    /// A dial is under way.
    Connecting,
    /// There is a connection. That it has died is noticed when a handle is polled.
    #[non_exhaustive]
    Connected {
        /// When it was made.
        since: Instant,
    },
    /// The last dial failed, or the last connection died before it was stable.
    #[non_exhaustive]
    BackingOff {
        /// Why.
        cause: Cause,
        /// When the next dial is due.
        until: Instant,
        /// How many dials and connections have failed since the last stable connection.
        failures: u32,
    },
    /// The last handle is gone, or the runtime of the task that dials.
    Closed,
}

impl State {
    /// Whether there is a connection.
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected { .. })
    }
}

/// A state and the numbers that go with it, as one value that cannot be seen half changed.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) version: u64,
    pub(crate) state: State,
    pub(crate) stats: Stats,
    pub(crate) last_cause: Option<Cause>,
}

impl Published {
    pub(crate) fn new(view: &View<'_, Cause>, epoch: Instant) -> Self {
        let at = |time| epoch.checked_add(time).unwrap_or(epoch);
        let history = view.history;
        let state = match view.phase {
            Phase::Idle => State::Idle,
            Phase::Connecting => State::Connecting,
            Phase::Connected { since } => State::Connected { since: at(since) },
            Phase::BackingOff { cause, until } => State::BackingOff {
                cause: cause.clone(),
                until: at(until),
                failures: history.failures(),
            },
            Phase::Closed => State::Closed,
        };
        Self {
            version: history.version(),
            state,
            stats: history.stats,
            last_cause: history.last_cause().cloned(),
        }
    }
}

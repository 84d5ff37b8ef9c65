//! What a state machine shows of itself.

use std::time::Duration;

use crate::history::History;

/// With causes of type `C`.
#[derive(Debug)]
pub(crate) struct View<'a, C> {
    pub(crate) phase: Phase<'a, C>,
    /// When the next dial is due, if it is put off without a backoff.
    pub(crate) dial_at: Option<Duration>,
    pub(crate) history: &'a History<C>,
}

/// What is going on, as one would say it in a word. Moments count from the epoch.
#[derive(Debug)]
pub(crate) enum Phase<'a, C> {
    Idle,
    Connecting,
    /// There is at least one connection, the oldest since then.
    Connected {
        since: Duration,
    },
    /// No dial is let through, though there may be connections that are exclusive.
    BackingOff {
        cause: &'a C,
        until: Duration,
    },
    Closed,
}

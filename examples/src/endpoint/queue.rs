//! Waiting for a connection, or for a stream of one: bounded in number, and by whoever waits in time.

use std::{
    error::Error,
    fmt,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

/// No connection, or no stream of one, became free within `reconnect.connect_timeout`.
#[derive(Clone, Copy, Debug)]
pub struct NoFreeConnection;

/// More requests wait for a connection than `reconnect.max_pending` allows.
#[derive(Clone, Copy, Debug)]
pub struct TooManyPending {
    limit: usize,
}

/// How many wait.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: AtomicUsize,
    limit: usize,
}

/// One request in the queue; leaves it when dropped.
pub(super) struct Waiting<'a>(&'a Queue);

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        let waiting = AtomicUsize::new(0);
        Self { waiting, limit }
    }

    pub(super) fn enter(&self) -> Result<Waiting<'_>, TooManyPending> {
        if self.waiting.fetch_add(1, SeqCst) >= self.limit {
            self.waiting.fetch_sub(1, SeqCst);
            return Err(TooManyPending { limit: self.limit });
        }
        Ok(Waiting(self))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.load(SeqCst) == 0
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, SeqCst);
    }
}

impl fmt::Display for NoFreeConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no connection became free in time: raise reconnect.max_connections")
    }
}

impl Error for NoFreeConnection {}

impl fmt::Display for TooManyPending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests wait for a connection already: raise reconnect.max_pending or max_connections",
            self.limit
        )
    }
}

impl Error for TooManyPending {}

//! What an endpoint's connection is doing, and whether it still lives.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
};

use http::Request;
use tower_reconnect::{State, Watch};
use tower_service::Service;

use super::{connection::RequestBody, log::ConnectionLog, upstream::Upstream};

/// A handle to an endpoint's connections that sends nothing.
pub struct Link<B> {
    watch: Watch,
    log: ConnectionLog,
    // Never locked by a request.
    handle: Mutex<Upstream<B>>,
}

impl<B> Link<B> {
    pub(super) fn new(upstream: &Upstream<B>, log: ConnectionLog) -> Self {
        Self {
            watch: upstream.watch(),
            log,
            handle: Mutex::new(upstream.clone()),
        }
    }

    /// What the connection was doing when somebody last looked.
    pub fn state(&self) -> State {
        self.watch.state()
    }

    /// Whether requests may come: there is a connection, or one would be made for them.
    pub fn is_usable(&self) -> bool {
        self.handle().is_usable(&self.watch)
    }

    /// What has happened so far.
    pub fn log(&self) -> &ConnectionLog {
        &self.log
    }

    fn handle(&self) -> MutexGuard<'_, Upstream<B>> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: RequestBody> Link<B> {
    /// Looks at the connection as a request would: that it has died is noticed, and it is made
    /// again, however long that takes.
    pub fn look(&self) {
        let mut handle = self.handle();
        let mut context = Context::from_waker(Waker::noop());
        // A handle that waits keeps the wish for a connection alive; one that waits no more shall
        // not keep a connection.
        if Service::<Request<B>>::poll_ready(&mut *handle, &mut context).is_ready() {
            *handle = handle.clone();
        }
    }
}

impl<B> fmt::Debug for Link<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.watch.state()).finish()
    }
}

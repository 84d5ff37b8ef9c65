//! What an endpoint's connection is doing, and whether it still lives.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    task::{Context, Waker},
};

use http::Request;
use tower_mtls::PeerIdentity;
use tower_reconnect::{Reconnect, State, Stats, Watch};
use tower_service::Service;

use super::{
    Met,
    connection::{Connection, RequestBody},
};

/// A handle to an endpoint's connection that sends nothing.
pub struct Link<B> {
    watch: Watch,
    met: Met,
    // Never locked by a request.
    handle: Mutex<Reconnect<Connection<B>>>,
}

impl<B> Link<B> {
    pub(super) fn new(connection: &Reconnect<Connection<B>>, met: Met) -> Self {
        Self {
            watch: connection.watch(),
            met,
            handle: Mutex::new(connection.clone()),
        }
    }

    /// What the connection was doing when somebody last looked.
    pub fn state(&self) -> State {
        self.watch.state()
    }

    /// Who was met when it last connected.
    pub fn peer(&self) -> Option<PeerIdentity> {
        self.met.peer()
    }

    /// What has happened so far.
    pub fn stats(&self) -> Stats {
        self.watch.stats()
    }
}

impl<B: RequestBody> Link<B> {
    /// Looks at the connection as a request would: that it has died is noticed, and it is made
    /// again, however long that takes.
    pub fn look(&self) {
        let mut handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
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
        f.debug_tuple("Link").field(&self.state()).finish()
    }
}

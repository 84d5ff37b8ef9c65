//! What brings tower's own into the same situation.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use tower::reconnect::Reconnect;
use tower_service::Service;

use crate::support::{Connection, Failure, Maker, Peer};

/// tower's, to a peer.
pub(crate) type Theirs = Reconnect<Unpinned, &'static str>;

pub(crate) fn theirs(peer: &Peer) -> Theirs {
    Reconnect::new(Unpinned(peer.maker()), "peer")
}

/// The other is expected to have this defect.
#[track_caller]
pub(crate) fn still(has_it: bool, defect: &str) {
    assert!(
        has_it,
        "it has no longer this defect: {defect}. Take it out of this test and out of the docs"
    );
}

/// Whether it panics.
pub(crate) fn panics<T>(run: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(run)).is_err()
}

/// tower wants a future that is `Unpin`.
pub(crate) struct Unpinned(Maker);

impl Service<&'static str> for Unpinned {
    type Response = Connection;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Connection, Failure>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, target: &'static str) -> Self::Future {
        Box::pin(self.0.call(target))
    }
}

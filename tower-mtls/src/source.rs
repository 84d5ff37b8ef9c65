//! Credentials that change while connections are served.
//!
//! ```
//! # #[cfg(feature = "dev")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_mtls::BoxError> {
//! use tower_mtls::{Expected, MtlsLayer, accept::Acceptor, dev::Authority};
//! use tower_mtls::source::{Snapshot, Updater};
//!
//! let authority = Authority::new("example.org".parse()?)?;
//! let issue = || -> Result<_, tower_mtls::BoxError> {
//!     let credentials = authority.svid("/api")?.credentials();
//!     Ok(Snapshot::new(credentials, authority.trust_bundle()))
//! };
//!
//! let updater = Updater::new();
//! updater.update(issue()?)?;
//! let source = updater.source();
//! // Both sides of this workload live on one source.
//! let acceptor = Acceptor::rotating(&source).build()?;
//! let layer = MtlsLayer::rotating(&source).expect(Expected::TrustDomain).build()?;
//!
//! // Later: in force from the next handshake on.
//! updater.update(issue()?)?;
//! assert_eq!(source.stats().rotations(), 2);
//! # let _ = (acceptor, layer);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "dev"))]
//! # fn main() {}
//! ```
//!
//! A [`Source`] gives out [`Snapshot`]s: the private key, the certificate chain and the trust of one moment. A
//! handshake takes the one in force when it starts, and keeps it to its end: a rotation fails no handshake, and
//! none sees half of it. Nothing is locked for that.
//!
//! Snapshots come from one of these:
//!
//! - `Files` (feature `files`): files that are watched.
//! - `WorkloadApi` (feature `spiffe`): an agent of SPIFFE.
//! - [`Updater`]: whatever calls [`update`](Updater::update), such as a source of your own.
//!
//! # When a snapshot cannot be had
//!
//! Before the first one, handshakes fail with [`NoCredentials`](crate::error::Reason::NoCredentials). After that the
//! last good one stays in force whatever happens, which is told to the log and the [`Observer`] once for
//! each failure, and counted in [`SourceStats`].
//!
//! # Open connections
//!
//! When the trust changes, the peer of each open connection is verified again, and when a peer's certificate
//! expires, its connections end: see [`MtlsStream`](crate::MtlsStream).

use std::{fmt, sync::Arc, time::SystemTime};

use tokio::sync::watch;

use crate::error::SourceError;

#[cfg(feature = "files")]
pub use self::files::{Files, FilesBuilder};
#[cfg(feature = "spiffe")]
pub use self::workload::{WorkloadApi, WorkloadApiBuilder};
pub use self::{
    observer::{Event, Observer},
    snapshot::Snapshot,
    stats::SourceStats,
    updater::Updater,
};
pub(crate) use self::{shared::Shared, snapshot::Published};

mod alarm;
#[cfg(feature = "files")]
mod files;
mod observer;
mod shared;
mod snapshot;
mod stats;
mod updater;
#[cfg(feature = "spiffe")]
mod workload;

/// Credentials that may change: the [module](self) tells how. Cheap to clone.
#[derive(Clone)]
pub struct Source {
    shared: Arc<Shared>,
    // The count of these is the count of handles.
    _handle: watch::Receiver<()>,
}

impl Source {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            _handle: shared.handle(),
            shared,
        }
    }

    /// A source that never changes.
    pub(crate) fn fixed(snapshot: Snapshot) -> Self {
        let shared = Shared::fixed(snapshot);
        Self::new(Arc::new(shared))
    }

    /// Waits for the first snapshot. It returns at once if there has been one. There may never be one: put a
    /// timeout around it, and see [`failure`](Self::failure) for why.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again.
    pub async fn ready(&self) {
        // The sender is in `self.shared`, so it is there.
        let _ = self.shared.changes().wait_for(|serial| *serial > 0).await;
    }

    /// The snapshot in force; `None` before the first one.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let current = self.shared.current();
        current.as_ref().map(|current| current.snapshot.clone())
    }

    /// Why the source has nothing newer, if it should have.
    pub fn failure(&self) -> Option<SourceError> {
        self.shared.failure()
    }

    /// When this side's certificate expires, in a channel that tells of each change. It holds `None` before the
    /// first snapshot, and where there is no certificate.
    pub fn expiry(&self) -> watch::Receiver<Option<SystemTime>> {
        self.shared.expiry()
    }

    /// Counts of the rotations so far.
    pub fn stats(&self) -> SourceStats {
        self.shared.stats()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Sees to it that someone warns of the expiry.
    pub(crate) fn attend(&self) {
        alarm::attend(&self.shared);
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("snapshot", &self.snapshot())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

use std::{fmt, sync::Arc, time::SystemTime};

use super::{Observer, Snapshot, Source, alarm, observer::Told, shared::Shared};
use crate::error::SourceError;

/// The sending end of a [`Source`] in memory, and of sources of your own; cheap to clone.
///
/// ```
/// # #[cfg(feature = "dev")]
/// # fn main() -> Result<(), tower_mtls::BoxError> {
/// use tower_mtls::{accept::Acceptor, dev::Authority, source::{Snapshot, Updater}};
///
/// let authority = Authority::new("example.org".parse()?)?;
/// let updater = Updater::new();
/// let acceptor = Acceptor::rotating(&updater.source()).build()?;
/// // Until now every handshake fails with `Reason::NoCredentials`.
/// updater.update(Snapshot::new(authority.svid("/api")?.credentials(), authority.trust_bundle()))?;
/// # let _ = acceptor;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "dev"))]
/// # fn main() {}
/// ```
///
/// When the updater is gone, the last snapshot stays in force.
#[derive(Clone)]
pub struct Updater {
    shared: Arc<Shared>,
}

impl Updater {
    /// A source without a snapshot yet: handshakes fail.
    pub fn new() -> Self {
        Self::with(Told::default())
    }

    /// The same, with an observer of what happens.
    pub fn with_observer(observer: impl Observer) -> Self {
        Self::observed_by(Arc::new(observer))
    }

    pub(super) fn observed_by(observer: Arc<dyn Observer>) -> Self {
        Self::with(Told::to(observer))
    }

    /// The receiving end.
    ///
    /// Called in a tokio runtime, it also spawns the task that warns of a certificate which expires soon;
    /// elsewhere the first handshake does. That task ends with the last `Source`.
    pub fn source(&self) -> Source {
        alarm::attend(&self.shared);
        Source::new(self.shared.clone())
    }

    /// Puts a snapshot in force, from the next handshake on.
    ///
    /// A certificate that has expired is refused, and what was there stays in force.
    pub fn update(&self, snapshot: Snapshot) -> Result<(), SourceError> {
        self.shared.publish(snapshot, SystemTime::now())
    }

    /// Says that there should have been a new snapshot, and why there is none. What was there stays in
    /// force. The same error again is neither counted nor logged until there was a success in between.
    pub fn fail(&self, error: &SourceError) {
        self.shared.fail(error);
    }

    /// Says that all is well, and there is nothing new. It ends the last failure.
    pub fn unchanged(&self) {
        self.shared.works();
    }

    /// Waits until nobody can use this source any more: each [`Source`], each layer, acceptor and service
    /// built on one and each connection that they made is gone. A task that updates should end then.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again.
    pub async fn closed(&self) {
        self.shared.closed().await;
    }

    fn with(told: Told) -> Self {
        Self {
            shared: Arc::new(Shared::new(told)),
        }
    }
}

impl Default for Updater {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Updater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Updater")
            .field("stats", &self.shared.stats())
            .finish_non_exhaustive()
    }
}

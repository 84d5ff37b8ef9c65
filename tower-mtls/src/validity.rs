//! Whether the peer of one connection would still be accepted.

use std::{
    fmt,
    sync::{Arc, OnceLock, Weak},
    task::Waker,
    time::SystemTime,
};

use atomic_waker::AtomicWaker;
use tokio::sync::Notify;

use crate::{
    connections::{Chain, Connections},
    error::PeerNoLongerValid,
};

/// Whether the peer of a connection would still be accepted; cheap to clone, and good beyond the connection's end.
///
/// It ends when the peer's certificate expires, or is found to be revoked or without a root at a rotation.
#[derive(Clone)]
pub struct Validity {
    standing: Arc<Standing>,
}

/// What a connection, the clones of its peer's identity and the keeper of the connections share.
pub(crate) struct Standing {
    ended: OnceLock<PeerNoLongerValid>,
    /// The tasks that read and write, which may be two.
    reader: AtomicWaker,
    writer: AtomicWaker,
    waiting: Notify,
    not_after: SystemTime,
    pub(crate) closes: bool,
    pub(crate) chain: Chain,
    pub(crate) id: u64,
    pub(crate) connections: Weak<Connections>,
}

impl Validity {
    pub(crate) fn new(standing: Arc<Standing>) -> Self {
        Self { standing }
    }

    /// Whether the peer would still be accepted. It looks at the clock and locks nothing.
    pub fn is_valid(&self) -> bool {
        self.standing.ended.get().is_none() && SystemTime::now() < self.standing.not_after
    }

    /// Why it would not be, once that is known.
    pub fn reason(&self) -> Option<&PeerNoLongerValid> {
        self.standing.ended.get()
    }

    /// Waits until the peer would not be accepted any more.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again.
    pub async fn ended(&self) -> PeerNoLongerValid {
        loop {
            let notified = self.standing.waiting.notified();
            if let Some(ended) = self.reason() {
                return ended.clone();
            }
            notified.await;
        }
    }

    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }
}

impl Standing {
    pub(crate) fn new(
        chain: Chain,
        id: u64,
        not_after: SystemTime,
        closes: bool,
        connections: Weak<Connections>,
    ) -> Self {
        Self {
            ended: OnceLock::new(),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
            waiting: Notify::new(),
            not_after,
            closes,
            chain,
            id,
            connections,
        }
    }

    /// Ends it, and wakes whoever waits for that. Only the first end counts.
    pub(crate) fn end(&self, ended: PeerNoLongerValid) {
        if self.ended.set(ended).is_ok() {
            self.waiting.notify_waiters();
            self.reader.wake();
            self.writer.wake();
        }
    }

    /// The end, where the connection is to end with it.
    pub(crate) fn closed(&self) -> Option<&PeerNoLongerValid> {
        self.ended.get().filter(|_| self.closes)
    }

    pub(crate) fn register_reader(&self, waker: &Waker) {
        self.reader.register(waker);
    }

    pub(crate) fn register_writer(&self, waker: &Waker) {
        self.writer.register(waker);
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        if let Some(connections) = self.connections.upgrade() {
            connections.forget(&self.chain, self.id);
        }
    }
}

impl fmt::Debug for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validity")
            .field("valid", &self.is_valid())
            .field("reason", &self.reason())
            .finish()
    }
}

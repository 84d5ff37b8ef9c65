//! Whether the peer of one connection would still be accepted.

use std::{
    fmt,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
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
    /// Seconds since 1970, after which the peer is not accepted whatever is known of it.
    expires: AtomicU64,
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
        let expires = self.standing.expires.load(Relaxed);
        self.standing.ended.get().is_none() && seconds(SystemTime::now()) < expires
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
        expires: SystemTime,
        closes: bool,
        connections: Weak<Connections>,
    ) -> Self {
        Self {
            ended: OnceLock::new(),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
            waiting: Notify::new(),
            expires: AtomicU64::new(seconds(expires)),
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

    pub(crate) fn lasts_until(&self, expires: SystemTime) {
        self.expires.store(seconds(expires), Relaxed);
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

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

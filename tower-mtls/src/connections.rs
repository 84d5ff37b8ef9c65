//! The open connections of one layer or acceptor, whose peers are verified again when the trust changes and when
//! a certificate of theirs expires.
//!
//! Each distinct chain is verified once, however many connections its holder has, on a thread for blocking work.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use rustls_pki_types::CertificateDer;
use tokio::sync::Notify;
use tracing::info;

use self::keeper::{Keeper, Look};
use crate::{
    PeerIdentity,
    error::{HandshakeError, PeerNoLongerValid, Reason},
    live::Live,
    source::Source,
    stats::Counters,
    stream::Peer,
    validity::{Standing, Validity},
    verify::PeerVerifier,
};

mod keeper;

/// A peer's certificates, leaf first, shared by its connections.
pub(crate) type Chain = Arc<[CertificateDer<'static>]>;

/// What the open connections are judged by.
pub(crate) trait Judge: Send + Sync {
    fn source(&self) -> &Source;

    /// The serial with which the trust last changed.
    fn trust_serial(&self) -> u64;

    /// The verdict of a handshake now, and when the first certificate of the path expires.
    fn judge(&self, chain: &[CertificateDer<'static>]) -> Result<SystemTime, HandshakeError>;
}

/// What has a verifier, unless it lets everybody in.
pub(crate) trait Verifies: Send + Sync {
    fn verifier(&self) -> Option<&PeerVerifier>;
}

impl<T: Verifies> Judge for Live<T> {
    fn source(&self) -> &Source {
        self.source()
    }

    fn trust_serial(&self) -> u64 {
        self.trust_serial()
    }

    fn judge(&self, chain: &[CertificateDer<'static>]) -> Result<SystemTime, HandshakeError> {
        match self.load()?.verifier() {
            Some(verifier) => verifier.judge(chain),
            None => {
                let detail = "no certificate is verified";
                Err(HandshakeError::new(Reason::NoCredentials, detail))
            }
        }
    }
}

/// Where one handshake enters its connection, and with which trust it verifies.
pub(crate) struct Register {
    connections: Arc<Connections>,
    trust_serial: u64,
}

impl Register {
    pub(crate) fn new(connections: &Arc<Connections>, trust_serial: u64) -> Self {
        Self {
            connections: connections.clone(),
            trust_serial,
        }
    }

    /// Takes up a connection whose peer was just verified.
    pub(crate) fn open(&self, chain: &[CertificateDer<'static>], peer: PeerIdentity) -> Peer {
        Peer {
            identity: self.connections.open(chain, peer, self.trust_serial),
            _connections: self.connections.clone(),
        }
    }
}

pub(crate) struct Connections {
    table: Mutex<Table>,
    judge: Arc<dyn Judge>,
    counters: Arc<Counters>,
    /// Whether connections end with their peer's validity.
    closes: bool,
    /// How long after its end a certificate is still accepted.
    leeway: Duration,
    look: Arc<Notify>,
}

#[derive(Default)]
struct Table {
    peers: HashMap<Chain, Held>,
    next_id: u64,
    /// Whether there is a task that looks after them, and when it will look next, if at all.
    kept: bool,
    next_look: Option<SystemTime>,
}

struct Held {
    peer: PeerIdentity,
    /// With which trust it was last verified.
    trust_serial: u64,
    /// When the first certificate of its path expires.
    due: SystemTime,
    open: HashMap<u64, Weak<Standing>>,
}

impl Connections {
    pub(crate) fn new(
        judge: Arc<dyn Judge>,
        counters: Arc<Counters>,
        closes: bool,
        leeway: Duration,
    ) -> Self {
        Self {
            table: Mutex::default(),
            judge,
            counters,
            closes,
            // Verification counts in whole seconds.
            leeway: leeway + Duration::from_secs(1),
            look: Arc::default(),
        }
    }

    fn open(
        self: &Arc<Self>,
        chain: &[CertificateDer<'static>],
        peer: PeerIdentity,
        trust_serial: u64,
    ) -> PeerIdentity {
        let expires = self.refused_from(peer.not_after());
        let mut table = self.table();
        let id = table.next_id;
        table.next_id += 1;

        let shared = table.peers.get_key_value(chain).map(|(chain, _)| chain);
        let chain = shared.cloned().unwrap_or_else(|| chain.into());
        let held = table.peers.entry(chain.clone());
        let held = held.or_insert_with(|| Held {
            peer: peer.clone(),
            trust_serial,
            due: expires,
            open: HashMap::new(),
        });
        held.trust_serial = held.trust_serial.min(trust_serial);
        // Many connections of one peer keep one identity.
        let identity = match held.peer == peer {
            true => held.peer.clone(),
            false => peer,
        };
        let standing = Standing::new(chain, id, expires, self.closes, Arc::downgrade(self));
        let standing = Arc::new(standing);
        held.open.insert(id, Arc::downgrade(&standing));

        // The trust may have changed while the handshake went on.
        let stale = held.trust_serial < self.judge.trust_serial();
        let due = held.due;
        let sooner = table.next_look.is_none_or(|look| due < look);
        if sooner {
            table.next_look = Some(due);
        }
        self.keep(&mut table);
        drop(table);
        if stale || sooner {
            self.look.notify_one();
        }
        identity.with_validity(Validity::new(standing))
    }

    pub(crate) fn forget(&self, chain: &Chain, id: u64) {
        let mut table = self.table();
        if let Some(peer) = table.peers.get_mut(chain) {
            peer.open.remove(&id);
            if peer.open.is_empty() {
                table.peers.remove(chain);
            }
        }
    }

    /// Spawns the task that looks after the connections, if there is none and this is in a runtime.
    fn keep(self: &Arc<Self>, table: &mut Table) {
        if table.kept {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            table.kept = true;
            let keeper = Keeper::new(self);
            let look = self.look.clone();
            let changes = self.judge.source().shared().changes();
            drop(runtime.spawn(async move { keeper.keep(&look, changes).await }));
        }
    }

    /// The peers to be verified again now, or the time until there may be one.
    fn look(&self, now: SystemTime) -> Look {
        let trust_serial = self.judge.trust_serial();
        let mut table = self.table();
        let stale = |peer: &Held| peer.trust_serial < trust_serial;
        let late = |peer: &Held| peer.due <= now;
        let due = table.peers.iter();
        let due = due.filter(|(_, peer)| stale(peer) || late(peer));
        let due = due.map(|(chain, _)| chain.clone()).collect::<Vec<_>>();
        if !due.is_empty() {
            return Look::Due(due);
        }
        table.next_look = table.peers.values().map(|peer| peer.due).min();
        match table.next_look {
            Some(at) => {
                let wait = at.duration_since(now).unwrap_or_default();
                Look::Wait(wait)
            }
            None => Look::Idle,
        }
    }

    fn review(&self, chains: Vec<Chain>) {
        for chain in chains {
            let trust_serial = self.judge.trust_serial();
            match self.judge.judge(&chain) {
                Ok(not_after) => self.confirm(&chain, not_after, trust_serial),
                Err(verdict) => self.end(&chain, &PeerNoLongerValid::new(verdict)),
            }
        }
    }

    fn confirm(&self, chain: &Chain, not_after: SystemTime, trust_serial: u64) {
        let expires = self.refused_from(not_after);
        let mut open = Vec::new();
        if let Some(peer) = self.table().peers.get_mut(chain) {
            peer.trust_serial = trust_serial;
            if peer.due != expires {
                // By another path, which may last longer.
                peer.due = expires.max(SystemTime::now() + Duration::from_secs(1));
                open.extend(peer.open.values().filter_map(Weak::upgrade));
            }
        }
        // Not in the lock, which the last owner of a connection takes.
        for standing in open {
            standing.lasts_until(expires);
        }
    }

    fn end(&self, chain: &Chain, ended: &PeerNoLongerValid) {
        let Some(held) = self.table().peers.remove(chain) else {
            return;
        };
        // Not in the lock, which the last owner of a connection takes.
        let open = held.open.into_values();
        let open = open.filter_map(|standing| standing.upgrade());
        let open = open.collect::<Vec<_>>();
        let (reason, connections) = (ended.reason(), open.len());
        self.counters.ended(reason, connections);
        let reason = reason.as_str();
        info!(peer = %held.peer, reason, connections, closed = self.closes, "{ended}");
        for standing in open {
            standing.end(ended.clone());
        }
    }

    /// The first moment at which a certificate with this end is refused.
    fn refused_from(&self, not_after: SystemTime) -> SystemTime {
        not_after.checked_add(self.leeway).unwrap_or(not_after)
    }

    /// The task that looks after the connections has ended with its runtime.
    fn abandoned(&self) {
        self.table().kept = false;
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics in the lock.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        // The keeper sees that there is nothing left to keep.
        self.look.notify_one();
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

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
use tokio::{select, sync::Notify, task::spawn_blocking, time::sleep};
use tracing::info;

use crate::{
    error::{HandshakeError, PeerNoLongerValid},
    peer::validity,
    source::Source,
    stats::Counters,
    validity::{Standing, Validity},
};

/// A peer's certificates, leaf first, shared by its connections.
pub(crate) type Chain = Arc<[CertificateDer<'static>]>;

/// What the open connections are judged by.
pub(crate) trait Judge: Send + Sync {
    fn source(&self) -> &Source;

    /// The serial with which the trust last changed.
    fn trust_serial(&self) -> u64;

    /// How long after its end a certificate is still accepted.
    fn leeway(&self) -> Duration;

    /// The verdict of a handshake now.
    fn judge(&self, chain: &[CertificateDer<'static>]) -> Result<(), HandshakeError>;
}

pub(crate) struct Connections {
    table: Mutex<Table>,
    judge: Arc<dyn Judge>,
    counters: Arc<Counters>,
    /// Whether connections end with their peer's validity.
    closes: bool,
    look: Arc<Notify>,
}

#[derive(Default)]
struct Table {
    peers: HashMap<Chain, Peer>,
    next_id: u64,
    /// Whether there is a task that looks after them, and when it will look next, if at all.
    kept: bool,
    next_look: Option<SystemTime>,
}

struct Peer {
    /// With which trust it was last verified.
    trust_serial: u64,
    /// When the next certificate of its chain expires.
    due: Option<SystemTime>,
    open: HashMap<u64, Weak<Standing>>,
}

impl Connections {
    pub(crate) fn new(judge: Arc<dyn Judge>, counters: Arc<Counters>, closes: bool) -> Self {
        Self {
            table: Mutex::default(),
            judge,
            counters,
            closes,
            look: Arc::default(),
        }
    }

    /// Takes up a connection whose peer was just verified with the trust of `trust_serial`.
    pub(crate) fn open(
        self: &Arc<Self>,
        chain: &[CertificateDer<'static>],
        not_after: SystemTime,
        trust_serial: u64,
    ) -> Validity {
        let mut table = self.table();
        let id = table.next_id;
        table.next_id += 1;

        let shared = table.peers.get_key_value(chain).map(|(chain, _)| chain);
        let chain = shared.cloned().unwrap_or_else(|| chain.into());
        let peer = table.peers.entry(chain.clone());
        let peer = peer.or_insert_with(|| Peer {
            trust_serial,
            due: self.due(&chain, None),
            open: HashMap::new(),
        });
        peer.trust_serial = peer.trust_serial.min(trust_serial);
        let expires = self.after(not_after);
        let standing = Standing::new(chain, id, expires, self.closes, Arc::downgrade(self));
        let standing = Arc::new(standing);
        peer.open.insert(id, Arc::downgrade(&standing));

        // The trust may have changed while the handshake went on.
        let stale = peer.trust_serial < self.judge.trust_serial();
        let due = peer.due;
        let sooner = due.is_some_and(|due| table.next_look.is_none_or(|look| due < look));
        if sooner {
            table.next_look = due;
        }
        self.keep(&mut table);
        drop(table);
        if stale || sooner {
            self.look.notify_one();
        }
        Validity::new(standing)
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
            let keeper = Keeper(Arc::downgrade(self));
            let look = self.look.clone();
            let changes = self.judge.source().shared().changes();
            drop(runtime.spawn(async move { keeper.keep(&look, changes).await }));
        }
    }

    /// The peers to be verified again now, or the time until there may be one.
    fn look(&self, now: SystemTime) -> Look {
        let trust_serial = self.judge.trust_serial();
        let mut table = self.table();
        let stale = |peer: &Peer| peer.trust_serial < trust_serial;
        let late = |peer: &Peer| peer.due.is_some_and(|due| due <= now);
        let due = table.peers.iter();
        let due = due.filter(|(_, peer)| stale(peer) || late(peer));
        let due = due.map(|(chain, _)| chain.clone()).collect::<Vec<_>>();
        if !due.is_empty() {
            return Look::Due(due);
        }
        table.next_look = table.peers.values().filter_map(|peer| peer.due).min();
        match table.next_look {
            Some(at) => {
                let wait = at.duration_since(now).unwrap_or_default();
                // The clock of the wall may be set, and runs while the machine sleeps; a timer does neither.
                Look::Wait(wait.min(LONGEST_SLEEP))
            }
            None => Look::Idle,
        }
    }

    fn review(&self, chains: Vec<Chain>) {
        for chain in chains {
            let trust_serial = self.judge.trust_serial();
            match self.judge.judge(&chain) {
                Ok(()) => {
                    let due = self.due(&chain, Some(SystemTime::now()));
                    if let Some(peer) = self.table().peers.get_mut(&chain) {
                        peer.trust_serial = trust_serial;
                        peer.due = due;
                    }
                }
                Err(verdict) => self.end(&chain, &PeerNoLongerValid::new(verdict)),
            }
        }
    }

    fn end(&self, chain: &Chain, ended: &PeerNoLongerValid) {
        let peer = self.table().peers.remove(chain);
        let open = peer.into_iter().flat_map(|peer| peer.open.into_values());
        // Not in the lock, which the last owner of a connection takes.
        let open = open.filter_map(|standing| standing.upgrade());
        let open = open.collect::<Vec<_>>();
        let (reason, connections) = (ended.reason(), open.len());
        self.counters.ended(reason, connections);
        let reason = reason.as_str();
        info!(reason, connections, closed = self.closes, "{ended}");
        for standing in open {
            standing.end(ended.clone());
        }
    }

    /// When the next certificate of a chain expires, after `now` if that is given.
    fn due(
        &self,
        chain: &[CertificateDer<'static>],
        now: Option<SystemTime>,
    ) -> Option<SystemTime> {
        let ends = chain.iter().filter_map(|certificate| validity(certificate));
        let ends = ends.map(|(_, not_after)| self.after(not_after));
        ends.filter(|end| now.is_none_or(|now| *end > now)).min()
    }

    /// The first moment at which a certificate is refused. Verification counts in whole seconds.
    fn after(&self, not_after: SystemTime) -> SystemTime {
        let leeway = self.judge.leeway() + Duration::from_secs(1);
        not_after.checked_add(leeway).unwrap_or(not_after)
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

enum Look {
    Due(Vec<Chain>),
    Wait(Duration),
    Idle,
}

/// It keeps no connection alive, and ends when they and their layer or acceptor are gone.
struct Keeper(Weak<Connections>);

impl Keeper {
    async fn keep(&self, look: &Notify, mut changes: tokio::sync::watch::Receiver<u64>) {
        loop {
            changes.mark_unchanged();
            let Some(connections) = self.0.upgrade() else {
                return;
            };
            let wait = match connections.look(SystemTime::now()) {
                Look::Due(chains) => {
                    let review = spawn_blocking(move || connections.review(chains));
                    match review.await {
                        Ok(()) => continue,
                        // The runtime ends.
                        Err(_) => return,
                    }
                }
                Look::Wait(wait) => Some(wait),
                Look::Idle => None,
            };
            drop(connections);
            let timer = async {
                match wait {
                    Some(wait) => sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            select! {
                () = look.notified() => {}
                _ = changes.changed() => {}
                () = timer => {}
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // The next connection has another one spawned if the runtime of this one has ended.
        if let Some(connections) = self.0.upgrade() {
            connections.table().kept = false;
        }
    }
}

const LONGEST_SLEEP: Duration = Duration::from_secs(60);

//! What has happened to one endpoint's connections.

use std::{
    error::Error,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::time::Instant;
use tower_mtls::PeerIdentity;
use tower_reconnect::{Event, Observer};

use super::Met;
use crate::telemetry::{DialResult, UpstreamMetrics};

/// What has happened to one endpoint's connections, whichever layer dialled them; clones share it.
#[derive(Clone, Debug, Default)]
pub struct ConnectionLog(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    metrics: UpstreamMetrics,
    met: Met,
    dials: AtomicU64,
    failures: AtomicU64,
    opened: AtomicU64,
    closed: AtomicU64,
    // Locked when something fails, and when somebody asks.
    last_failure: Mutex<Option<Failure>>,
}

/// Why a dial failed, or a connection was lost before it was stable.
#[derive(Clone, Debug)]
pub struct Failure {
    /// In words.
    pub cause: Arc<str>,
    /// When.
    pub at: Instant,
}

/// A connection that is open until this is dropped.
#[derive(Debug)]
pub(super) struct Opened {
    log: ConnectionLog,
    since: Instant,
}

impl ConnectionLog {
    /// Of an endpoint whose cluster counts in `metrics`.
    pub(super) fn new(metrics: UpstreamMetrics) -> Self {
        Self(Arc::new(Inner {
            metrics,
            ..Inner::default()
        }))
    }

    /// Dials that were begun.
    pub fn dials(&self) -> u64 {
        self.0.dials.load(Relaxed)
    }

    /// Those of them that failed.
    pub fn failures(&self) -> u64 {
        self.0.failures.load(Relaxed)
    }

    /// Connections that are open now, those included that end with what is in flight.
    pub fn open(&self) -> u64 {
        let closed = self.0.closed.load(Relaxed);
        self.0.opened.load(Relaxed).saturating_sub(closed)
    }

    /// What failed last.
    pub fn last_failure(&self) -> Option<Failure> {
        self.last().clone()
    }

    /// Who was met when it last connected.
    pub fn peer(&self) -> Option<PeerIdentity> {
        self.0.met.peer()
    }

    /// Counts a connection to this peer as open.
    pub(super) fn opened(&self, peer: Option<&PeerIdentity>) -> Opened {
        self.0.met.note(peer);
        self.0.opened.fetch_add(1, Relaxed);
        Opened {
            log: self.clone(),
            since: Instant::now(),
        }
    }

    fn failed(&self, cause: &(dyn Error + 'static)) {
        *self.last() = Some(Failure {
            cause: in_full(cause).into(),
            at: Instant::now(),
        });
    }

    fn last(&self) -> MutexGuard<'_, Option<Failure>> {
        let last = self.0.last_failure.lock();
        last.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for ConnectionLog {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::DialStarted => {
                self.0.dials.fetch_add(1, Relaxed);
            }
            Event::Connected { .. } => self.0.metrics.dialled(DialResult::Ok),
            Event::DialFailed { cause, .. } => {
                self.0.failures.fetch_add(1, Relaxed);
                self.0.metrics.dialled(DialResult::of(&***cause));
                self.failed(&***cause);
            }
            Event::Lost {
                cause,
                retry_in: Some(_),
                ..
            } => {
                self.0.metrics.unstable();
                self.failed(&***cause);
            }
            _ => {}
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let inner = &self.log.0;
        inner.closed.fetch_add(1, Relaxed);
        let age = Instant::now().saturating_duration_since(self.since);
        inner.metrics.ended(age);
    }
}

/// An error and what caused it, in one line.
pub(crate) fn in_full(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    for cause in std::iter::successors(error.source(), |&cause| cause.source()) {
        let cause = cause.to_string();
        // Some errors repeat what caused them.
        if !line.ends_with(&cause) {
            line = line + ": " + &cause;
        }
    }
    line
}

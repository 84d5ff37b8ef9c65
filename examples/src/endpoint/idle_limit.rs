//! How long an endpoint keeps an idle HTTP/1 connection: told by it, or learnt from what it closes.
//!
//! A server closes connections that were idle for too long, and a request may cross that close on
//! the wire. It then fails, and nobody can know whether it was processed. So a connection is not
//! used again shortly before its server would close it.
//!
//! - **Told**: `Keep-Alive: timeout=N` in a response holds for its connection, and for those that
//!   have had no response yet.
//! - **Learnt**: two closes in a row after the same idle time teach it; closes at one moment count
//!   as one. Where most of their idle times differ it was a restart, which teaches nothing. A
//!   request that met such a close teaches as well. A connection
//!   that outlives what was learnt weakens it, and so does a long time without a close.
//!
//! What remains: the first such crossings, before anything is learnt; servers whose idle times are
//! irregular, or shorter than a quarter of a second; and servers that are further away than the
//! margin. A request that was sent and got no answer then fails, as it may have been processed.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderName};
use tokio::time::Instant;

use crate::http::list;

/// What all pools of one endpoint learn together, one after the other.
#[derive(Debug)]
pub(super) struct IdleLimits {
    core: Mutex<IdleLimit>,
    /// In microseconds, for requests, which take no lock.
    limit: AtomicU64,
    /// What the last response told, in microseconds: for connections that have had none.
    told: AtomicU64,
}

/// What is known of an endpoint's idle timeout.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IdleLimit {
    known: Known,
    /// What was known before the last event, which may turn out to be none.
    before: Known,
    event: Option<Event>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    timeout: Option<Timeout>,
    /// The idle time that the last event showed.
    last: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Timeout {
    idle: Duration,
    trust: u8,
    confirmed: Instant,
}

/// Connections that were closed at one moment.
#[derive(Clone, Copy, Debug)]
struct Event {
    began: Instant,
    shortest: Duration,
    /// Closes after about that idle time, and all others.
    alike: u32,
    others: u32,
}

impl IdleLimits {
    pub(super) fn new() -> Self {
        Self {
            core: Mutex::default(),
            limit: AtomicU64::new(UNKNOWN),
            told: AtomicU64::new(UNKNOWN),
        }
    }

    /// How long the connection of this response may be idle and be used again, if it says so.
    pub(super) fn hear(&self, headers: &HeaderMap) -> Option<Duration> {
        let told = told(headers);
        let latest = told.map_or(UNKNOWN, micros);
        if self.told.load(Relaxed) != latest {
            self.told.store(latest, Relaxed);
        }
        told
    }

    /// How long a connection that has had no response may be idle and be used.
    pub(super) fn untold(&self) -> Duration {
        Duration::from_micros(self.told.load(Relaxed))
    }

    /// How long a connection may have been idle and be used again.
    pub(super) fn limit(&self) -> Duration {
        Duration::from_micros(self.limit.load(Relaxed))
    }

    /// The endpoint closed a connection that was idle for so long.
    pub(super) fn closed(&self, idle: Duration, now: Instant) {
        let mut core = self.core();
        core.closed(idle, now);
        self.publish(&core, now);
    }

    /// The longest that a connection has been idle for and is open, if there is any.
    pub(super) fn open(&self, idle: Option<Duration>, now: Instant) {
        let mut core = self.core();
        if let Some(idle) = idle {
            core.open(idle);
        }
        self.publish(&core, now);
    }

    fn publish(&self, core: &IdleLimit, now: Instant) {
        let limit = core.limit(now).map_or(UNKNOWN, micros);
        if self.limit.swap(limit, Relaxed) != limit {
            tracing::debug!(?core, "idle limit of an endpoint");
        }
    }

    fn core(&self) -> MutexGuard<'_, IdleLimit> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IdleLimit {
    /// How long a connection may have been idle and be used again, once that is known.
    pub(super) fn limit(&self, now: Instant) -> Option<Duration> {
        let timeout = self.known.timeout?;
        let age = now.saturating_duration_since(timeout.confirmed);
        (age < FORGOTTEN_AFTER).then(|| less_a_margin(timeout.idle))
    }

    pub(super) fn closed(&mut self, idle: Duration, now: Instant) {
        // Not a timeout that one could stay below: a restart, or a close without a word.
        if idle < SHORTEST {
            return;
        }
        let event = match self.event {
            Some(event) if now.saturating_duration_since(event.began) < ONE_MOMENT => {
                event.joined_by(idle)
            }
            _ => {
                self.before = self.known;
                Event {
                    began: now,
                    shortest: idle,
                    alike: 1,
                    others: 0,
                }
            }
        };
        self.event = Some(event);
        // A busy machine sees some of them late; a restart meets them at any time.
        self.known = match event.alike > event.others {
            true => self.before.after(event.shortest, now),
            false => self.before,
        };
    }

    pub(super) fn open(&mut self, idle: Duration) {
        self.known.timeout = self
            .known
            .timeout
            .and_then(|timeout| timeout.outlived(idle));
    }
}

impl Event {
    fn joined_by(self, idle: Duration) -> Self {
        let shortest = self.shortest.min(idle);
        let (mut alike_now, mut others) = match alike(shortest, self.shortest) {
            true => (self.alike, self.others),
            false => (0, self.alike.saturating_add(self.others)),
        };
        match alike(shortest, idle) {
            true => alike_now = alike_now.saturating_add(1),
            false => others = others.saturating_add(1),
        }
        Self {
            began: self.began,
            shortest,
            alike: alike_now,
            others,
        }
    }
}

impl Known {
    /// What is known after one more event.
    fn after(self, idle: Duration, now: Instant) -> Self {
        let repeated = self.last.is_some_and(|last| alike(last, idle));
        let learnt = repeated.then(|| Timeout {
            idle: self.last.map_or(idle, |last| last.min(idle)),
            trust: 1,
            confirmed: now,
        });
        let timeout = match self.timeout {
            Some(timeout) if alike(timeout.idle, idle) => Some(timeout.confirmed(idle, now)),
            Some(timeout) if idle > timeout.idle => timeout.outlived(idle).or(learnt),
            known => learnt.or(known),
        };
        Self {
            timeout,
            last: Some(idle),
        }
    }
}

impl Timeout {
    /// Shorter is believed at once, longer step by step.
    fn confirmed(self, idle: Duration, now: Instant) -> Self {
        Self {
            idle: idle.min(self.idle * 3 / 4 + idle / 4),
            trust: self.trust.saturating_add(1).min(FULL_TRUST),
            confirmed: now,
        }
    }

    /// What is left of it after a connection was idle for longer.
    fn outlived(mut self, idle: Duration) -> Option<Self> {
        if idle > self.idle && !alike(idle, self.idle) {
            self.trust = self.trust.saturating_sub(1);
        }
        (self.trust > 0).then_some(self)
    }
}

/// What a response says of its connection.
fn told(headers: &HeaderMap) -> Option<Duration> {
    let timeouts = list(headers, &KEEP_ALIVE).filter_map(|option| {
        let (name, value) = option.split_once('=')?;
        let seconds: u32 = value.trim().trim_matches('"').parse().ok()?;
        name.trim()
            .eq_ignore_ascii_case("timeout")
            .then(|| Duration::from_secs(seconds.into()))
    });
    timeouts.min().map(less_a_margin)
}

/// Ten percent, for a timer that is coarse or begins earlier than ours; and 100 ms at least, for
/// the way there and back and a machine that is busy.
fn less_a_margin(timeout: Duration) -> Duration {
    timeout.saturating_sub((timeout / 10).max(MARGIN))
}

fn alike(one: Duration, other: Duration) -> bool {
    one.abs_diff(other) <= (one.max(other) / 10).max(TOLERANCE)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(UNKNOWN)
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

const UNKNOWN: u64 = u64::MAX;

const MARGIN: Duration = Duration::from_millis(100);

const TOLERANCE: Duration = Duration::from_millis(50);

/// A limit below it would leave next to nothing to use a connection in.
const SHORTEST: Duration = Duration::from_millis(250);

/// Closes that are no further apart have one cause.
const ONE_MOMENT: Duration = Duration::from_millis(100);

const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// So many connections that live longer, and it is forgotten.
const FULL_TRUST: u8 = 3;

#[cfg(test)]
mod tests;

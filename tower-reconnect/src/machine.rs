//! When to dial: the state machine of one shared connection.
//!
//! It has no clock, no random numbers and no I/O: the time, as a duration since any fixed moment,
//! and the randomness come in as arguments.
//!
//! ```text
//!  from        on                              to
//!  Idle        next, with demand               Connecting   (dial)
//!  Connecting  connected                       Connected
//!  Connecting  failed                          BackingOff   (failures + 1)
//!  Connected   lost, after `stable_after`      Idle         (failures = 0)
//!  Connected   lost, sooner                    BackingOff   (failures + 1)
//!  BackingOff  next, when over, with demand    Connecting   (dial)
//!  BackingOff  next, when over, no demand      Idle
//!  any         close                           Closed
//! ```
//!
//! Whatever else happens changes nothing.

use std::time::Duration;

use crate::backoff::Backoff;

/// A connection's life, with causes of type `C`.
#[derive(Debug)]
pub(crate) struct Machine<C> {
    phase: Phase<C>,
    /// Failed dials and unstable connections since the last stable one.
    failures: u32,
    last_cause: Option<C>,
    stats: Stats,
    /// Grows with every change of phase.
    version: u64,
    backoff: Backoff,
    stable_after: Duration,
}

#[derive(Debug)]
pub(crate) enum Phase<C> {
    Idle,
    Connecting,
    Connected { generation: u64, since: Duration },
    BackingOff { cause: C, until: Duration },
    Closed,
}

/// What whoever drives the machine has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Dial once, then report `connected` or `failed`.
    Dial,
    /// Ask again after this long.
    Sleep(Duration),
    /// Ask again when something has happened.
    Wait,
}

/// What a report of a lost connection amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Somebody else was first, or that connection was replaced long ago.
    Known,
    /// It had been up long enough: the next demand dials at once.
    Stable,
    /// It died young, which is a failure like a failed dial.
    Unstable { delay: Duration },
}

/// What has happened to a connection since its layer was applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Dials that were begun.
    pub dials: u64,
    /// Dials that failed.
    pub failures: u64,
    /// Connections that were made.
    pub connections: u64,
    /// Connections that were lost.
    pub lost: u64,
    /// Those of the lost ones that had not been up long enough to be stable.
    pub unstable: u64,
}

impl<C: Clone> Machine<C> {
    /// A connection counts as stable after `stable_after`, but never before the first backoff
    /// step has passed: else zero would dial a peer that accepts and dies without any pause.
    pub(crate) fn new(backoff: Backoff, stable_after: Duration) -> Self {
        Self {
            phase: Phase::Idle,
            failures: 0,
            last_cause: None,
            stats: Stats::default(),
            version: 0,
            backoff,
            stable_after: stable_after.max(backoff.base()),
        }
    }

    pub(crate) fn phase(&self) -> &Phase<C> {
        &self.phase
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Why the last dial failed or the last connection was lost, whatever has happened since.
    pub(crate) fn last_cause(&self) -> Option<&C> {
        self.last_cause.as_ref()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.stats
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// What to do now, when `demand` says whether anybody wants a connection.
    pub(crate) fn next(&mut self, now: Duration, demand: bool) -> Step {
        match self.phase {
            Phase::BackingOff { until, .. } if now < until => {
                return Step::Sleep(until.saturating_sub(now));
            }
            Phase::Idle | Phase::BackingOff { .. } if demand => {
                self.stats.dials += 1;
                self.enter(Phase::Connecting);
                return Step::Dial;
            }
            Phase::BackingOff { .. } => self.enter(Phase::Idle),
            Phase::Idle | Phase::Connecting | Phase::Connected { .. } | Phase::Closed => {}
        }
        Step::Wait
    }

    /// The dial made a connection. Returns its generation, which is never zero, or `None` when no
    /// dial was under way.
    pub(crate) fn connected(&mut self, now: Duration) -> Option<u64> {
        let Phase::Connecting = self.phase else {
            return None;
        };
        self.stats.connections += 1;
        let generation = self.stats.connections;
        let since = now;
        self.enter(Phase::Connected { generation, since });
        Some(generation)
    }

    /// The dial failed. Returns how long the backoff lasts, or `None` when no dial was under way.
    pub(crate) fn failed(&mut self, now: Duration, cause: C, random: u64) -> Option<Duration> {
        let Phase::Connecting = self.phase else {
            return None;
        };
        self.stats.failures += 1;
        Some(self.back_off(now, cause, random))
    }

    /// The connection of this `generation` is dead. Only the first report of it counts.
    pub(crate) fn lost(&mut self, lost: u64, now: Duration, cause: C, random: u64) -> Loss {
        let since = match self.phase {
            Phase::Connected { generation, since } if generation == lost => since,
            _ => return Loss::Known,
        };
        self.stats.lost += 1;
        if now.saturating_sub(since) >= self.stable_after {
            self.failures = 0;
            self.last_cause = Some(cause);
            self.enter(Phase::Idle);
            return Loss::Stable;
        }
        self.stats.unstable += 1;
        let delay = self.back_off(now, cause, random);
        Loss::Unstable { delay }
    }

    /// The connection of this `generation` has ended after it did its work, however soon.
    pub(crate) fn retired(&mut self, lost: u64, cause: C) -> Loss {
        match self.phase {
            Phase::Connected { generation, .. } if generation == lost => {}
            _ => return Loss::Known,
        }
        self.stats.lost += 1;
        self.failures = 0;
        self.last_cause = Some(cause);
        self.enter(Phase::Idle);
        Loss::Stable
    }

    /// Nobody can dial any more. Returns whether somebody could.
    pub(crate) fn close(&mut self) -> bool {
        let open = !matches!(self.phase, Phase::Closed);
        if open {
            self.enter(Phase::Closed);
        }
        open
    }

    fn back_off(&mut self, now: Duration, cause: C, random: u64) -> Duration {
        let delay = self.backoff.delay(self.failures, random);
        self.failures = self.failures.saturating_add(1);
        self.last_cause = Some(cause.clone());
        let until = now.saturating_add(delay);
        self.enter(Phase::BackingOff { cause, until });
        delay
    }

    fn enter(&mut self, phase: Phase<C>) {
        self.phase = phase;
        self.version += 1;
    }
}

//! When to dial: the state machine of one shared connection.
//!
//! It has no clock, no random numbers and no I/O: the time, as a duration since any fixed moment,
//! and the randomness come in as arguments.
//!
//! ```text
//!  from        on                              to
//!  Idle        next, when due, with demand     Connecting   (dial)
//!  Connecting  connected                       Connected
//!  Connecting  failed                          BackingOff   (failures + 1)
//!  Connected   lost, after `stable_after`      Idle         (failures = 0)
//!  Connected   lost, sooner                    BackingOff   (failures + 1)
//!  BackingOff  next, when over, with demand    Connecting   (dial)
//!  BackingOff  next, when over, no demand      Idle
//!  any         close                           Closed
//! ```
//!
//! Whatever else happens changes nothing. A backoff runs from the beginning of the dial that it
//! follows, not from its end: so clients that dial one after another and lose their connections
//! together still dial one after another.

use std::time::Duration;

use crate::backoff::{Backoff, spread};

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
    first_dial_jitter: Duration,
    /// Where in its steps this client dials.
    place: u64,
    /// When a dial that follows no failure, and is wanted, is due.
    due: Option<Duration>,
    dialled_at: Duration,
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
            first_dial_jitter: Duration::ZERO,
            place: 0,
            due: None,
            dialled_at: Duration::ZERO,
        }
    }

    /// Puts off each dial that follows no failure by up to `jitter`; `random` says by how much.
    pub(crate) fn with_first_dial_jitter(self, jitter: Duration, random: u64) -> Self {
        Self {
            first_dial_jitter: jitter,
            place: random,
            ..self
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
                if let Some(delay) = self.put_off(now) {
                    return Step::Sleep(delay);
                }
                self.stats.dials += 1;
                self.due = None;
                self.dialled_at = now;
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
        let delay = self.next_delay(random);
        // A dial may take longer than the whole step.
        let rest = self.rest_of(delay, now).max(delay / 2);
        Some(self.back_off(now, cause, rest))
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
        let delay = self.next_delay(random);
        let rest = self.rest_of(delay, now);
        let delay = self.back_off(now, cause, rest);
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

    /// How long a dial that is wanted now, and follows no failure, has to wait.
    fn put_off(&mut self, now: Duration) -> Option<Duration> {
        if self.failures > 0 || self.first_dial_jitter.is_zero() {
            return None;
        }
        let wait = spread(self.first_dial_jitter, self.place);
        let due = *self.due.get_or_insert(now.saturating_add(wait));
        let rest = due.saturating_sub(now);
        (!rest.is_zero()).then_some(rest)
    }

    /// From the beginning of the last dial to that of the next. The first failure decides the place
    /// of all that follow.
    fn next_delay(&mut self, random: u64) -> Duration {
        if self.failures == 0 {
            self.place = random;
        }
        self.backoff.delay(self.failures, self.place, random)
    }

    fn rest_of(&self, delay: Duration, now: Duration) -> Duration {
        delay.saturating_sub(now.saturating_sub(self.dialled_at))
    }

    fn back_off(&mut self, now: Duration, cause: C, delay: Duration) -> Duration {
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

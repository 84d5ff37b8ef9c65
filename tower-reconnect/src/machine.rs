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
//!  Connected   retired                         Idle         (failures = 0)
//!  Connected   looked, unused for `idle`       Idle
//!  BackingOff  next, when over, with demand    Connecting   (dial)
//!  BackingOff  next, when over, no demand      Idle
//!  BackingOff  reset                           Idle         (failures = 0)
//!  any         close                           Closed
//! ```
//!
//! A connection near its `max_age` is renewed while it is there:
//!
//! ```text
//!  renewal     on                              to
//!  Due         next, when due                  Dialling     (dial; failures = 0 if stable)
//!  Dialling    connected                       Due          (the new connection's)
//!  Dialling    failed                          BackingOff   (failures + 1)
//!  BackingOff  next, when over                 Dialling     (dial)
//!  Dialling    lost, retired                   the phase is Connecting
//!  BackingOff  lost, retired                   the phase is BackingOff
//! ```
//!
//! Whatever else happens changes nothing.

use std::time::Duration;

use crate::{
    limits::{Limits, Usage},
    pace::Pace,
    stats::Stats,
};

/// A connection's life, with causes of type `C`.
#[derive(Debug)]
pub(crate) struct Machine<C> {
    phase: Phase<C>,
    /// Failed dials and unstable connections since the last stable one.
    failures: u32,
    last_cause: Option<C>,
    /// Whether that was since the last connection was made.
    outage: bool,
    stats: Stats,
    /// Grows with every change that is to be seen.
    version: u64,
    pace: Pace,
    stable_after: Duration,
    limits: Limits,
}

#[derive(Debug)]
pub(crate) enum Phase<C> {
    Idle,
    Connecting,
    Connected {
        generation: u64,
        since: Duration,
        renewal: Renewal,
        usage: Option<Usage>,
    },
    BackingOff {
        cause: C,
        until: Duration,
    },
    Closed,
}

/// What is done to replace a connection before its end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Renewal {
    Due(Duration),
    Dialling,
    BackingOff { until: Duration },
    Never,
}

/// What whoever drives the machine has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Dial once, then report `connected` or `failed`.
    Dial,
    /// Look whether the connection was used since the last look, then report `looked`.
    Look,
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
    /// It was being replaced, and that goes on.
    Renewing,
}

impl<C: Clone> Machine<C> {
    /// A connection counts as stable after `stable_after`, but never before the first backoff
    /// step has passed: else zero would dial a peer that accepts and dies without any pause.
    pub(crate) fn new(pace: impl Into<Pace>, stable_after: Duration) -> Self {
        let pace = pace.into();
        Self {
            phase: Phase::Idle,
            failures: 0,
            last_cause: None,
            outage: false,
            stats: Stats::default(),
            version: 0,
            pace,
            stable_after: stable_after.max(pace.base()),
            limits: Limits::default(),
        }
    }

    pub(crate) fn limited(self, limits: Limits) -> Self {
        Self { limits, ..self }
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

    /// Why there is no connection, if anything has gone wrong.
    pub(crate) fn outage(&self) -> Option<&C> {
        self.last_cause.as_ref().filter(|_| self.outage)
    }

    pub(crate) fn stats(&self) -> Stats {
        self.stats
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The connection that is there, and when it was made.
    pub(crate) fn connection(&self) -> Option<(u64, Duration)> {
        match self.phase {
            Phase::Connected {
                generation, since, ..
            } => Some((generation, since)),
            _ => None,
        }
    }

    /// Whether a look has found the connection in use.
    pub(crate) fn was_used(&self) -> bool {
        matches!(&self.phase, Phase::Connected { usage: Some(usage), .. } if usage.ever)
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
                self.pace.dials(now);
                self.stats.dials += 1;
                self.enter(Phase::Connecting);
                return Step::Dial;
            }
            Phase::BackingOff { .. } => self.enter(Phase::Idle),
            Phase::Connected { .. } => return self.next_of_connection(now),
            Phase::Idle | Phase::Connecting | Phase::Closed => {}
        }
        Step::Wait
    }

    /// The dial made a connection. Returns its generation, which is never zero, or `None` when no
    /// dial was under way.
    pub(crate) fn connected(&mut self, now: Duration) -> Option<u64> {
        let generation = self.stats.connections + 1;
        // Whoever did not use the old connection does not use the new one either.
        let usage = match self.phase {
            Phase::Connecting => self.limits.usage(now, generation),
            Phase::Connected {
                renewal: Renewal::Dialling,
                usage,
                ..
            } => {
                self.stats.replaced += 1;
                usage.map(Usage::of_next)
            }
            _ => return None,
        };
        self.stats.connections = generation;
        self.stats.open = 1;
        self.outage = false;
        let renew_at = self.limits.renew_at(now, generation);
        self.enter(Phase::Connected {
            generation,
            since: now,
            renewal: renew_at.map_or(Renewal::Never, Renewal::Due),
            usage,
        });
        Some(generation)
    }

    /// The dial failed. Returns how long the backoff lasts, or `None` when no dial was under way.
    pub(crate) fn failed(&mut self, now: Duration, cause: C, random: u64) -> Option<Duration> {
        let renews = match &self.phase {
            Phase::Connecting => false,
            Phase::Connected {
                renewal: Renewal::Dialling,
                ..
            } => true,
            _ => return None,
        };
        self.stats.failures += 1;
        let delay = self.pace.after_failure(self.failures, now, random);
        let until = self.fail(cause.clone(), now, delay);
        if renews {
            self.renew(Renewal::BackingOff { until });
        } else {
            self.outage = true;
            self.enter(Phase::BackingOff { cause, until });
        }
        Some(delay)
    }

    /// The connection of this `generation` is dead. Only the first report of it counts.
    pub(crate) fn lost(&mut self, lost: u64, now: Duration, cause: C, random: u64) -> Loss {
        let Some((since, renewal)) = self.take_connection(lost) else {
            return Loss::Known;
        };
        let stable = now.saturating_sub(since) >= self.stable_after;
        self.stats.unstable += u64::from(!stable);
        self.outage = true;
        if self.hand_over(renewal, &cause) {
            self.last_cause = Some(cause);
            return Loss::Renewing;
        }
        if stable {
            self.failures = 0;
            self.last_cause = Some(cause);
            return Loss::Stable;
        }
        let delay = self.pace.after_loss(self.failures, now, random);
        let until = self.fail(cause.clone(), now, delay);
        self.enter(Phase::BackingOff { cause, until });
        Loss::Unstable { delay }
    }

    /// The connection of this `generation` has ended after it did its work, however soon.
    pub(crate) fn retired(&mut self, lost: u64, cause: C) -> Loss {
        let Some((_, renewal)) = self.take_connection(lost) else {
            return Loss::Known;
        };
        self.stats.retired += 1;
        self.outage = true;
        self.last_cause = Some(cause.clone());
        if self.hand_over(renewal, &cause) {
            return Loss::Renewing;
        }
        self.failures = 0;
        Loss::Stable
    }

    /// Whether the connection was `used` since the last look. Returns whether it is to be closed,
    /// because it was not for long enough.
    pub(crate) fn looked(&mut self, now: Duration, used: bool) -> bool {
        let Phase::Connected {
            usage: Some(usage),
            renewal,
            ..
        } = &mut self.phase
        else {
            return false;
        };
        let over = self.limits.is_over(usage, now, used);
        // One that is being replaced is closed at a later look, so that its dial has a place.
        if !over || matches!(renewal, Renewal::Dialling) {
            return false;
        }
        self.stats.unused += 1;
        self.stats.open = 0;
        self.enter(Phase::Idle);
        true
    }

    /// Forgets the failures, as when something has changed that they knew nothing of.
    pub(crate) fn reset(&mut self, now: Duration) {
        self.failures = 0;
        match self.phase {
            Phase::BackingOff { .. } => self.enter(Phase::Idle),
            Phase::Connected {
                renewal: Renewal::BackingOff { .. },
                ..
            } => self.renew(Renewal::Due(now)),
            _ => {}
        }
    }

    /// Nobody can dial any more. Returns whether somebody could.
    pub(crate) fn close(&mut self) -> bool {
        let open = !matches!(self.phase, Phase::Closed);
        if open {
            self.stats.open = 0;
            self.enter(Phase::Closed);
        }
        open
    }
}

impl<C: Clone> Machine<C> {
    fn next_of_connection(&mut self, now: Duration) -> Step {
        let Phase::Connected {
            since,
            renewal,
            usage,
            ..
        } = self.phase
        else {
            return Step::Wait;
        };
        let look_at = usage.map_or(Duration::MAX, |usage| usage.look_at);
        if look_at <= now {
            return Step::Look;
        }
        let dial_at = match renewal {
            Renewal::Due(at) | Renewal::BackingOff { until: at } => at,
            Renewal::Dialling | Renewal::Never => Duration::MAX,
        };
        if dial_at <= now {
            let settled = now.saturating_sub(since) >= self.stable_after;
            if settled && matches!(renewal, Renewal::Due(_)) {
                self.failures = 0;
            }
            self.pace.dials(now);
            self.stats.dials += 1;
            self.renew(Renewal::Dialling);
            return Step::Dial;
        }
        match look_at.min(dial_at) {
            Duration::MAX => Step::Wait,
            at => Step::Sleep(at.saturating_sub(now)),
        }
    }

    /// Leaves the connection of this `generation`, if it is the one that is there.
    fn take_connection(&mut self, lost: u64) -> Option<(Duration, Renewal)> {
        let Phase::Connected {
            generation,
            since,
            renewal,
            ..
        } = self.phase
        else {
            return None;
        };
        if generation != lost {
            return None;
        }
        self.stats.lost += 1;
        self.stats.open = 0;
        self.enter(Phase::Idle);
        Some((since, renewal))
    }

    /// Whether a renewal that had begun goes on as the dial or the backoff that is due anyway.
    fn hand_over(&mut self, renewal: Renewal, cause: &C) -> bool {
        let phase = match renewal {
            Renewal::Dialling => Phase::Connecting,
            Renewal::BackingOff { until } => {
                let cause = cause.clone();
                Phase::BackingOff { cause, until }
            }
            Renewal::Due(_) | Renewal::Never => return false,
        };
        self.enter(phase);
        true
    }

    /// How long a dial that is wanted now has to wait, because it follows no failure.
    fn put_off(&mut self, now: Duration) -> Option<Duration> {
        match self.failures {
            0 => self.pace.put_off(now),
            _ => None,
        }
    }

    /// Returns until when the backoff of so long lasts.
    fn fail(&mut self, cause: C, now: Duration, delay: Duration) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.last_cause = Some(cause);
        now.saturating_add(delay)
    }

    fn renew(&mut self, next: Renewal) {
        if let Phase::Connected { renewal, .. } = &mut self.phase {
            *renewal = next;
            self.version += 1;
        }
    }

    fn enter(&mut self, phase: Phase<C>) {
        self.phase = phase;
        self.version += 1;
    }
}

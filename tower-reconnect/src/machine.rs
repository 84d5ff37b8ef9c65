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
//!  Connected   retired, after its work         Idle         (failures = 0)
//!  Connected   retired, sooner                 BackingOff   (failures + 1)
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

use std::{mem, sync::Arc, time::Duration};

use crate::{
    bounds::Bounds,
    history::History,
    life::{Life, Renewal},
    limits::Limits,
    loss::Loss,
    moment::Moment,
    view::{Phase, View},
};

/// A connection's life, with causes of type `C`.
#[derive(Debug)]
pub(crate) struct Machine<C> {
    stage: Stage<C>,
    history: History<C>,
    /// Of the jitter of its limits.
    seed: u64,
}

#[derive(Debug)]
enum Stage<C> {
    Idle,
    Connecting,
    Connected(Life),
    BackingOff { cause: C, until: Moment },
    Closed,
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

impl<C: Clone> Machine<C> {
    /// The random `place` and `seed` are those of one service.
    pub(crate) fn new(bounds: Arc<Bounds>, place: u64, seed: u64) -> Self {
        Self {
            stage: Stage::Idle,
            history: History::new(bounds, place),
            seed,
        }
    }

    pub(crate) fn history(&self) -> &History<C> {
        &self.history
    }

    pub(crate) fn phase(&self) -> Phase<'_, C> {
        match &self.stage {
            Stage::Idle => Phase::Idle,
            Stage::Connecting => Phase::Connecting,
            Stage::Connected(life) => Phase::Connected {
                since: life.since(),
            },
            Stage::BackingOff { cause, until } => Phase::BackingOff {
                cause,
                until: (*until).into(),
            },
            Stage::Closed => Phase::Closed,
        }
    }

    pub(crate) fn view(&self) -> View<'_, C> {
        View {
            phase: self.phase(),
            dial_at: match self.stage {
                Stage::Idle => self.history.put_off_until(),
                _ => None,
            },
            history: &self.history,
        }
    }

    /// The connection that is there, and when it was made.
    pub(crate) fn connection(&self) -> Option<(u64, Duration)> {
        match &self.stage {
            Stage::Connected(life) => Some((life.generation(), life.since())),
            _ => None,
        }
    }

    /// What to do now, when `demand` says whether anybody wants a connection.
    pub(crate) fn next(&mut self, now: Duration, demand: bool) -> Step {
        match &self.stage {
            Stage::BackingOff { until, .. } if now < Duration::from(*until) => {
                return Step::Sleep(Duration::from(*until).saturating_sub(now));
            }
            Stage::Idle | Stage::BackingOff { .. } if demand => {
                self.history.settle(now);
                if let Some(delay) = self.history.put_off(now) {
                    return Step::Sleep(delay);
                }
                self.history.dials(now);
                self.stage = Stage::Connecting;
                return Step::Dial;
            }
            Stage::BackingOff { .. } => self.enter(Stage::Idle),
            Stage::Connected(_) => return self.next_of_connection(now),
            Stage::Idle | Stage::Connecting | Stage::Closed => {}
        }
        Step::Wait
    }

    /// The dial made a connection. Returns its generation, which is never zero, or `None` when no
    /// dial was under way.
    pub(crate) fn connected(&mut self, now: Duration) -> Option<u64> {
        let replaced = match &self.stage {
            Stage::Connecting => None,
            Stage::Connected(old) if matches!(old.renewal, Renewal::Dialling) => Some(*old),
            _ => return None,
        };
        let generation = self.history.connects();
        self.history.comes_up(now);
        self.history.stats.open = 1;
        let life = Life::new(generation, now, &self.limits());
        self.stage = Stage::Connected(match replaced {
            Some(old) => {
                self.history.stats.replaced += 1;
                life.after(&old)
            }
            None => life,
        });
        Some(generation)
    }

    /// The dial failed. Returns how long the backoff lasts, or `None` when no dial was under way.
    pub(crate) fn failed(&mut self, now: Duration, cause: C, random: u64) -> Option<Duration> {
        let renews = match &self.stage {
            Stage::Connecting => false,
            Stage::Connected(life) if matches!(life.renewal, Renewal::Dialling) => true,
            _ => return None,
        };
        self.history.stats.failures += 1;
        self.history.settle(now);
        let delay = self.history.dial_failed(now, random);
        let until = now.saturating_add(delay).into();
        if renews {
            self.history.note(cause);
            self.renew(Renewal::BackingOff(until));
        } else {
            self.history.blame(cause.clone());
            self.enter(Stage::BackingOff { cause, until });
        }
        Some(delay)
    }

    /// The connection of this `generation` is dead. Only the first report of it counts.
    pub(crate) fn lost(&mut self, lost: u64, now: Duration, cause: C, random: u64) -> Loss {
        self.end(lost, now, cause, random, None)
    }

    /// The connection of this `generation` was retired by its other end, after so many `answers`.
    pub(crate) fn retired(
        &mut self,
        lost: u64,
        now: Duration,
        cause: C,
        random: u64,
        answers: u32,
    ) -> Loss {
        self.end(lost, now, cause, random, Some(answers))
    }

    /// Whether the connection was `used` since the last look. Returns whether it is to be closed,
    /// because it was not for long enough.
    pub(crate) fn looked(&mut self, now: Duration, used: bool) -> bool {
        let limits = self.limits();
        let Stage::Connected(life) = &mut self.stage else {
            return false;
        };
        if !life.looked(now, used, &limits) {
            return false;
        }
        self.history.stats.unused += 1;
        self.history.stats.open = 0;
        self.enter(Stage::Idle);
        true
    }

    /// Forgets the failures, as when something has changed that they knew nothing of.
    pub(crate) fn reset(&mut self, now: Duration) {
        self.history.recover();
        match &self.stage {
            Stage::BackingOff { .. } => self.enter(Stage::Idle),
            Stage::Connected(life) if matches!(life.renewal, Renewal::BackingOff(_)) => {
                self.renew(Renewal::Due(now.into()));
            }
            _ => {}
        }
    }

    /// Nobody can dial any more. Returns whether somebody could.
    pub(crate) fn close(&mut self) -> bool {
        let open = !matches!(self.stage, Stage::Closed);
        if open {
            self.history.stats.open = 0;
            self.enter(Stage::Closed);
        }
        open
    }
}

impl<C: Clone> Machine<C> {
    fn next_of_connection(&mut self, now: Duration) -> Step {
        let Stage::Connected(life) = &mut self.stage else {
            return Step::Wait;
        };
        let step = life.next(now);
        if step == Step::Dial {
            let due = matches!(life.renewal, Renewal::Due(_));
            life.renewal = Renewal::Dialling;
            if due {
                self.history.settle(now);
            }
            self.history.dials(now);
        }
        step
    }

    /// If it was retired, `retired` says after how many answers.
    fn end(
        &mut self,
        lost: u64,
        now: Duration,
        cause: C,
        random: u64,
        retired: Option<u32>,
    ) -> Loss {
        let Some(life) = self.take_connection(lost) else {
            return Loss::Known;
        };
        self.history.settle(now);
        let stable = self.history.ends(life.since(), now, retired);
        self.history.blame(cause.clone());
        match life.renewal {
            // What had begun goes on as the dial or the backoff that is due anyway.
            Renewal::Dialling => {
                self.enter(Stage::Connecting);
                Loss::Renewing
            }
            Renewal::BackingOff(until) => {
                self.enter(Stage::BackingOff { cause, until });
                Loss::Renewing
            }
            Renewal::Due(_) | Renewal::Never if stable => {
                self.history.recover();
                Loss::Stable
            }
            Renewal::Due(_) | Renewal::Never => {
                let delay = self.history.died_young(now, random);
                let until = now.saturating_add(delay).into();
                self.enter(Stage::BackingOff { cause, until });
                Loss::Unstable { delay }
            }
        }
    }

    /// Leaves the connection of this `generation`, if it is the one that is there.
    fn take_connection(&mut self, lost: u64) -> Option<Life> {
        let (generation, _) = self.connection()?;
        if generation != lost {
            return None;
        }
        self.history.stats.open = 0;
        match mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Connected(life) => Some(life),
            _ => None,
        }
    }

    fn renew(&mut self, next: Renewal) {
        if let Stage::Connected(life) = &mut self.stage {
            life.renewal = next;
            self.history.changed();
        }
    }

    fn enter(&mut self, stage: Stage<C>) {
        self.stage = stage;
        self.history.changed();
    }

    fn limits(&self) -> Limits {
        self.history.bounds().limits(self.seed)
    }
}

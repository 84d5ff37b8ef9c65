//! When to dial: the gate that many exclusive connections to one target share.
//!
//! It has no clock, no random numbers and no I/O: the time, as a duration since any fixed moment,
//! and the randomness come in as arguments.
//!
//! Healthy, it lets `max_dials` dials through at once. A failed dial, or a connection that was lost
//! before it was stable, begins a new *round* with a backoff; after that there is one dial at a
//! time until `stable_after` has passed since the first connection of this round was made, or one was
//! retired. Each dial that succeeds is followed by a pause as long as the first backoff step, in which a peer that accepts
//! and dies is found out. What fails of an earlier round, be it a dial that was under way or a
//! connection that dies with many others, is no news and counts no further.

use std::{sync::Arc, time::Duration};

use crate::{
    bounds::Bounds,
    exclusive::open::{Life, Open},
    history::History,
    loss::Loss,
    moment::Moment,
    view::{Phase, View},
};

/// The dials to a target, with causes of type `C`.
#[derive(Debug)]
pub(crate) struct Gate<C> {
    /// Its failures are counted once a round.
    history: History<C>,
    round: u64,
    backing_off: Option<(C, Moment)>,
    /// No dial before this moment while it fails, though the last one has succeeded.
    pause_until: Moment,
    dialling: usize,
    open: Open,
    closed: bool,
    /// Of the jitter of the limits.
    seed: u64,
}

/// A dial that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    round: u64,
}

/// What whoever drives the gate has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Dial once, then report `connected` or `failed`, and ask again at once.
    Dial(Ticket),
    /// Ask again after this long.
    Sleep(Duration),
    /// Ask again when something has happened.
    Wait,
}

impl<C: Clone> Gate<C> {
    /// The random `place` and `seed` are those of one service.
    pub(crate) fn new(bounds: Arc<Bounds>, place: u64, seed: u64) -> Self {
        Self {
            history: History::new(bounds, place),
            round: 0,
            backing_off: None,
            pause_until: Moment::EPOCH,
            dialling: 0,
            open: Open::default(),
            closed: false,
            seed,
        }
    }

    pub(crate) fn history(&self) -> &History<C> {
        &self.history
    }

    pub(crate) fn phase(&self) -> Phase<'_, C> {
        if self.closed {
            return Phase::Closed;
        }
        if let Some((cause, until)) = &self.backing_off {
            let until = (*until).into();
            return Phase::BackingOff { cause, until };
        }
        match self.open.oldest() {
            Some(oldest) => Phase::Connected {
                since: oldest.since(),
            },
            None if self.dialling > 0 => Phase::Connecting,
            None => Phase::Idle,
        }
    }

    pub(crate) fn view(&self) -> View<'_, C> {
        View {
            phase: self.phase(),
            dial_at: match (self.dialling, self.history.failures()) {
                (0, 0) => self.history.put_off_until(),
                (0, _) => Some(self.pause_until.into()),
                _ => None,
            },
            history: &self.history,
        }
    }

    /// How many dials are under way.
    pub(crate) fn dialling(&self) -> usize {
        self.dialling
    }

    /// How many connections there are.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// When the connection of this generation was made, if it is there.
    pub(crate) fn since(&self, generation: u64) -> Option<Duration> {
        self.open.get(generation).map(Life::since)
    }

    /// When the connection of this generation is to be renewed, if it is there and ever is.
    pub(crate) fn renew_at(&self, generation: u64) -> Duration {
        let life = self.open.get(generation);
        life.map_or(Duration::MAX, Life::renew_at)
    }

    /// What to do now, when so many connections are `wanted` besides those that are to be renewed.
    pub(crate) fn next(&mut self, now: Duration, wanted: usize) -> Step {
        if self.closed {
            return Step::Wait;
        }
        self.history.settle(now);
        let next = self.open.next_renewal(now);
        let closed_until = self.closed_until();
        if now < closed_until {
            let next = next.map_or(closed_until, |next| next.min(closed_until));
            return Step::Sleep(next.saturating_sub(now));
        }
        if self.backing_off.take().is_some() {
            self.history.changed();
        }
        if self.dialling < self.at_once().min(wanted + self.open.due()) {
            if let Some(delay) = self.put_off(now) {
                return Step::Sleep(delay);
            }
            self.history.dials(now);
            self.dialling += 1;
            return Step::Dial(Ticket { round: self.round });
        }
        next.map_or(Step::Wait, |next| Step::Sleep(next.saturating_sub(now)))
    }

    /// The dial made a connection. Returns its generation, which is never zero, or `None` when
    /// nobody can use it any more.
    pub(crate) fn connected(&mut self, ticket: Ticket, now: Duration) -> Option<u64> {
        if self.closed {
            return None;
        }
        self.dialling -= 1;
        let generation = self.history.connects();
        if ticket.round == self.round {
            self.history.comes_up(now);
        }
        self.history.stats.open += 1;
        let limits = self.history.bounds().limits(self.seed);
        let renew_at = limits.renew_at(now, generation);
        self.open
            .insert(Life::new(generation, now, renew_at, ticket.round));
        let pause = self.history.bounds().backoff.base();
        self.pause_until = now.saturating_add(pause).into();
        Some(generation)
    }

    /// The dial failed. Returns when the next one is due, from now.
    pub(crate) fn failed(
        &mut self,
        ticket: Ticket,
        now: Duration,
        cause: C,
        random: u64,
    ) -> Option<Duration> {
        if self.closed {
            return None;
        }
        self.dialling -= 1;
        self.history.stats.failures += 1;
        self.history.settle(now);
        Some(self.fail(ticket.round, now, cause, |history| {
            history.dial_failed(now, random)
        }))
    }

    /// The connection of this generation is dead.
    pub(crate) fn lost(&mut self, lost: u64, now: Duration, cause: C, random: u64) -> Loss {
        self.end(lost, now, cause, random, None)
    }

    /// The connection of this generation was retired by its other end, after so many `answers`.
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

    /// The owner of this connection is gone, and it with them.
    pub(crate) fn released(&mut self, generation: u64) {
        self.remove(generation);
    }

    /// This connection has given its place to another. Returns since when it was there.
    pub(crate) fn replaced(&mut self, generation: u64) -> Option<Duration> {
        let life = self.remove(generation)?;
        self.history.stats.replaced += 1;
        Some(life.since())
    }

    /// Nobody has used this connection for long. Returns since when it was there.
    pub(crate) fn unused(&mut self, generation: u64) -> Option<Duration> {
        let life = self.remove(generation)?;
        self.history.stats.unused += 1;
        Some(life.since())
    }

    /// The connection that is to be renewed first, if any is due. It is due no longer.
    pub(crate) fn take_due(&mut self) -> Option<u64> {
        self.open.take_due()
    }

    /// Forgets the failures, as when something has changed that they knew nothing of.
    pub(crate) fn reset(&mut self) {
        self.history.recover();
        if self.backing_off.take().is_some() {
            self.history.changed();
        }
    }

    /// Nobody can dial any more. Returns whether somebody could.
    pub(crate) fn close(&mut self) -> bool {
        let open = !self.closed;
        if open {
            self.closed = true;
            self.open = Open::default();
            self.history.stats.open = 0;
            self.history.changed();
        }
        open
    }
}

impl<C: Clone> Gate<C> {
    /// Until when no dial is let through.
    fn closed_until(&self) -> Duration {
        match &self.backing_off {
            Some((_, until)) => (*until).into(),
            None if self.history.failures() > 0 => self.pause_until.into(),
            None => Duration::ZERO,
        }
    }

    fn at_once(&self) -> usize {
        match self.history.failures() {
            0 => self.history.bounds().max_dials,
            _ => 1,
        }
    }

    /// How long the first of several dials at once has to wait, because it follows no failure.
    fn put_off(&mut self, now: Duration) -> Option<Duration> {
        let first = self.dialling == 0 && self.open.is_empty();
        first.then(|| self.history.put_off(now)).flatten()
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
        self.history.settle(now);
        let Some(life) = self.remove(lost) else {
            return Loss::Known;
        };
        if self.history.ends(life.since(), now, retired) {
            self.history.blame(cause);
            // It has done its work since the last failure.
            if retired.is_some() && life.round == self.round {
                self.history.recover();
            }
            return Loss::Stable;
        }
        let delay = self.fail(life.round, now, cause, |history| {
            history.died_young(now, random)
        });
        Loss::Unstable { delay }
    }

    /// What fails of an earlier round than this is no news. Returns when the next dial is due.
    fn fail(
        &mut self,
        round: u64,
        now: Duration,
        cause: C,
        count: impl FnOnce(&mut History<C>) -> Duration,
    ) -> Duration {
        self.history.changed();
        self.history.blame(cause.clone());
        if round == self.round {
            let delay = count(&mut self.history);
            self.round += 1;
            self.backing_off = Some((cause, now.saturating_add(delay).into()));
        }
        let until = self.backing_off.as_ref().map(|backoff| backoff.1.into());
        until.unwrap_or(now).saturating_sub(now)
    }

    fn remove(&mut self, generation: u64) -> Option<Life> {
        let life = self.open.remove(generation)?;
        self.history.stats.open -= 1;
        self.history.changed();
        Some(life)
    }
}

//! When to dial: the gate that many exclusive connections to one target share.
//!
//! It has no clock, no random numbers and no I/O: the time, as a duration since any fixed moment,
//! and the randomness come in as arguments.
//!
//! Healthy, it lets `max_dials` dials through at once. A failed dial, or a connection that was lost
//! before it was stable, begins a new *round* with a backoff; after that there is one dial at a
//! time until a connection of this round has been up for `stable_after`, or was retired. Each that
//! succeeds is followed by a pause as long as the first backoff step, in which a peer that accepts
//! and dies is found out. What fails of an earlier round, be it a dial that was under way or a
//! connection that dies with many others, is no news and counts no further.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use crate::{limits::Limits, pace::Pace, stats::Stats};

/// The dials to a target, with causes of type `C`.
#[derive(Debug)]
pub(crate) struct Gate<C> {
    /// Failed dials and unstable connections since the last stable one, counted once a round.
    failures: u32,
    round: u64,
    backing_off: Option<(C, Duration)>,
    /// No dial before this moment while it fails, though the last one has succeeded.
    pause_until: Duration,
    dialling: usize,
    open: BTreeMap<u64, Open>,
    /// When each connection is to be renewed, the next one first.
    renewals: BTreeSet<(Duration, u64)>,
    /// Those that are to be renewed now.
    due: VecDeque<u64>,
    closed: bool,
    last_cause: Option<C>,
    /// Whether that was since the last connection was made.
    outage: bool,
    stats: Stats,
    version: u64,
    settings: Settings,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) pace: Pace,
    pub(crate) stable_after: Duration,
    pub(crate) max_dials: usize,
    pub(crate) limits: Limits,
}

/// A connection that is there.
#[derive(Clone, Copy, Debug)]
struct Open {
    since: Duration,
    round: u64,
    renew_at: Duration,
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

/// What a report of a lost connection amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// There is none of this generation.
    Known,
    /// It had been up long enough.
    Stable,
    /// It died young. The next dial is due after `delay`.
    Unstable { delay: Duration },
}

/// What is going on, as one would say it in a word.
#[derive(Debug)]
pub(crate) enum Phase<'a, C> {
    Idle,
    Connecting,
    /// There is at least one connection, the oldest since then.
    Connected {
        since: Duration,
    },
    /// No dial is let through, though there may be connections.
    BackingOff {
        cause: &'a C,
        until: Duration,
    },
    Closed,
}

impl<C: Clone> Gate<C> {
    /// A connection counts as stable after `stable_after`, but never before the first backoff
    /// step has passed: else zero would dial a peer that accepts and dies without any pause.
    pub(crate) fn new(settings: Settings) -> Self {
        let stable_after = settings.stable_after.max(settings.pace.base());
        Self {
            failures: 0,
            round: 0,
            backing_off: None,
            pause_until: Duration::ZERO,
            dialling: 0,
            open: BTreeMap::new(),
            renewals: BTreeSet::new(),
            due: VecDeque::new(),
            closed: false,
            last_cause: None,
            outage: false,
            stats: Stats::default(),
            version: 0,
            settings: Settings {
                stable_after,
                ..settings
            },
        }
    }

    pub(crate) fn phase(&self) -> Phase<'_, C> {
        if self.closed {
            return Phase::Closed;
        }
        if let Some((cause, until)) = &self.backing_off {
            let until = *until;
            return Phase::BackingOff { cause, until };
        }
        match self.open.values().next() {
            Some(oldest) => Phase::Connected {
                since: oldest.since,
            },
            None if self.dialling > 0 => Phase::Connecting,
            None => Phase::Idle,
        }
    }

    /// How many dials are under way.
    pub(crate) fn dialling(&self) -> usize {
        self.dialling
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    pub(crate) fn last_cause(&self) -> Option<&C> {
        self.last_cause.as_ref()
    }

    /// Why there is no connection, if anything has gone wrong.
    pub(crate) fn outage(&self) -> Option<&C> {
        self.last_cause.as_ref().filter(|_| self.outage)
    }

    pub(crate) fn stats(&self) -> Stats {
        let open = self.open.len() as u64;
        Stats { open, ..self.stats }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// When the connection of this generation was made, if it is there.
    pub(crate) fn since(&self, generation: u64) -> Option<Duration> {
        self.open.get(&generation).map(|open| open.since)
    }

    /// When the connection of this generation is to be renewed, if it is there and ever is.
    pub(crate) fn renew_at(&self, generation: u64) -> Duration {
        let open = self.open.get(&generation);
        open.map_or(Duration::MAX, |open| open.renew_at)
    }

    /// What to do now, when so many connections are `wanted` besides those that are to be renewed.
    pub(crate) fn next(&mut self, now: Duration, wanted: usize) -> Step {
        if self.closed {
            return Step::Wait;
        }
        self.settle(now);
        while let Some((_, generation)) = self.renewals.first().filter(|first| first.0 <= now) {
            self.due.push_back(*generation);
            self.renewals.pop_first();
        }
        let next = self.renewals.first().map(|first| first.0);
        let closed_until = self.closed_until();
        if now < closed_until {
            let next = next.map_or(closed_until, |next| next.min(closed_until));
            return Step::Sleep(next.saturating_sub(now));
        }
        self.version += u64::from(self.backing_off.take().is_some());
        if self.dialling < self.at_once().min(wanted + self.due.len()) {
            if let Some(delay) = self.put_off(now) {
                return Step::Sleep(delay);
            }
            self.settings.pace.dials(now);
            self.dialling += 1;
            self.stats.dials += 1;
            self.version += 1;
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
        self.version += 1;
        self.stats.connections += 1;
        let generation = self.stats.connections;
        let renew_at = self.settings.limits.renew_at(now, generation);
        let renew_at = renew_at.unwrap_or(Duration::MAX);
        let open = Open {
            since: now,
            round: ticket.round,
            renew_at,
        };
        self.open.insert(generation, open);
        if renew_at < Duration::MAX {
            self.renewals.insert((renew_at, generation));
        }
        self.outage = false;
        self.pause_until = now.saturating_add(self.settings.pace.base());
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
        self.stats.failures += 1;
        self.settle(now);
        Some(self.fail(ticket.round, now, cause, random, Pace::after_failure))
    }

    /// The connection of this generation is dead.
    pub(crate) fn lost(&mut self, lost: u64, now: Duration, cause: C, random: u64) -> Loss {
        self.settle(now);
        let Some(open) = self.remove(lost) else {
            return Loss::Known;
        };
        self.stats.lost += 1;
        if now.saturating_sub(open.since) >= self.settings.stable_after {
            self.last_cause = Some(cause);
            self.outage = true;
            return Loss::Stable;
        }
        self.stats.unstable += 1;
        let delay = self.fail(open.round, now, cause, random, Pace::after_loss);
        Loss::Unstable { delay }
    }

    /// The connection of this generation has ended after it did its work, however soon.
    pub(crate) fn retired(&mut self, lost: u64, now: Duration, cause: C) -> Loss {
        self.settle(now);
        let Some(open) = self.remove(lost) else {
            return Loss::Known;
        };
        self.stats.lost += 1;
        self.stats.retired += 1;
        if open.round == self.round {
            self.failures = 0;
        }
        self.last_cause = Some(cause);
        self.outage = true;
        Loss::Stable
    }

    /// The owner of this connection is gone, and it with them.
    pub(crate) fn released(&mut self, generation: u64, now: Duration) {
        self.settle(now);
        self.remove(generation);
    }

    /// This connection has given its place to another. Returns since when it was there.
    pub(crate) fn replaced(&mut self, generation: u64, now: Duration) -> Option<Duration> {
        self.settle(now);
        let open = self.remove(generation)?;
        self.stats.replaced += 1;
        Some(open.since)
    }

    /// Nobody has used this connection for long. Returns since when it was there.
    pub(crate) fn unused(&mut self, generation: u64, now: Duration) -> Option<Duration> {
        self.settle(now);
        let open = self.remove(generation)?;
        self.stats.unused += 1;
        Some(open.since)
    }

    /// The connection that is to be renewed first, if any is due. It is due no longer.
    pub(crate) fn take_due(&mut self) -> Option<u64> {
        self.due.pop_front()
    }

    /// Forgets the failures, as when something has changed that they knew nothing of.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
        self.version += u64::from(self.backing_off.take().is_some());
    }

    /// Nobody can dial any more. Returns whether somebody could.
    pub(crate) fn close(&mut self) -> bool {
        let open = !self.closed;
        if open {
            self.closed = true;
            self.open.clear();
            self.version += 1;
        }
        open
    }
}

impl<C: Clone> Gate<C> {
    /// Until when no dial is let through.
    fn closed_until(&self) -> Duration {
        match &self.backing_off {
            Some((_, until)) => *until,
            None if self.failures > 0 => self.pause_until,
            None => Duration::ZERO,
        }
    }

    fn at_once(&self) -> usize {
        match self.failures {
            0 => self.settings.max_dials,
            _ => 1,
        }
    }

    /// Ends the failing when a connection has shown since the last failure that it stays.
    fn settle(&mut self, now: Duration) {
        let stable = |open: &Open| now.saturating_sub(open.since) >= self.settings.stable_after;
        let round = self.round;
        if self.failures > 0
            && self
                .open
                .values()
                .any(|open| open.round == round && stable(open))
        {
            self.failures = 0;
        }
    }

    /// How long the first of several dials at once has to wait, because it follows no failure.
    fn put_off(&mut self, now: Duration) -> Option<Duration> {
        let first = self.failures == 0 && self.dialling == 0 && self.open.is_empty();
        first.then(|| self.settings.pace.put_off(now)).flatten()
    }

    fn fail(
        &mut self,
        round: u64,
        now: Duration,
        cause: C,
        random: u64,
        delay: impl FnOnce(&mut Pace, u32, Duration, u64) -> Duration,
    ) -> Duration {
        self.version += 1;
        self.last_cause = Some(cause.clone());
        self.outage = true;
        if round == self.round {
            let delay = delay(&mut self.settings.pace, self.failures, now, random);
            self.failures = self.failures.saturating_add(1);
            self.round += 1;
            self.backing_off = Some((cause, now.saturating_add(delay)));
        }
        let until = self.backing_off.as_ref().map_or(now, |backoff| backoff.1);
        until.saturating_sub(now)
    }

    fn remove(&mut self, generation: u64) -> Option<Open> {
        let open = self.open.remove(&generation)?;
        self.version += 1;
        if !self.renewals.remove(&(open.renew_at, generation)) {
            self.due.retain(|due| *due != generation);
        }
        Some(open)
    }
}

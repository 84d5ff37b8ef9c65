//! What has happened to the connections of a service, and what follows for its next dial.

use std::{sync::Arc, time::Duration};

use crate::{bounds::Bounds, pace::Pace, stats::Stats};

/// With causes of type `C`.
#[derive(Debug)]
pub(crate) struct History<C> {
    bounds: Arc<Bounds>,
    pace: Pace,
    /// Failed dials and unstable connections since the last stable one.
    failures: u32,
    /// Whether the last cause came after the last connection.
    outage: bool,
    last_cause: Option<C>,
    /// The machine that it belongs to counts what only it knows of.
    pub(crate) stats: Stats,
    /// Grows with every change that is to be seen.
    version: u64,
}

impl<C> History<C> {
    /// Of a service that dials at this random place within its steps, until there is a failure.
    pub(crate) fn new(bounds: Arc<Bounds>, place: u64) -> Self {
        Self {
            bounds,
            pace: Pace::new(place),
            failures: 0,
            outage: false,
            last_cause: None,
            stats: Stats::default(),
            version: 0,
        }
    }

    pub(crate) fn bounds(&self) -> &Bounds {
        &self.bounds
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

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// There is something new to be seen.
    pub(crate) fn changed(&mut self) {
        self.version += 1;
    }

    /// How long a dial that is wanted now has to wait, because it follows no failure.
    pub(crate) fn put_off(&mut self, now: Duration) -> Option<Duration> {
        match self.failures {
            0 => self.pace.put_off(&self.bounds, now),
            _ => None,
        }
    }

    /// Until when a dial that follows no failure is put off, once it was wanted.
    pub(crate) fn put_off_until(&self) -> Option<Duration> {
        (self.failures == 0).then(|| self.pace.due()).flatten()
    }

    /// A dial begins.
    pub(crate) fn dials(&mut self, now: Duration) {
        self.pace.dials(now);
        if self.failures == 0 {
            self.pace.clear_due();
        }
        self.stats.dials += 1;
        self.changed();
    }

    /// A dial has made a connection. Returns its generation, which is never zero.
    pub(crate) fn connects(&mut self) -> u64 {
        self.outage = false;
        self.stats.connections += 1;
        self.changed();
        self.stats.connections
    }

    /// A connection was made that shows how the other end is since the last failure.
    pub(crate) fn comes_up(&mut self, now: Duration) {
        if self.failures > 0 {
            self.pace.comes_up(&self.bounds, now);
        }
    }

    /// Forgets the failures if nothing has failed for long since there was a connection again,
    /// whatever has become of that one: it may have been replaced, or closed by us.
    pub(crate) fn settle(&mut self, now: Duration) {
        if self.failures > 0 && self.pace.due().is_some_and(|due| due <= now) {
            self.recover();
        }
    }

    /// Whether a connection that was made at `since` has shown that it stays.
    pub(crate) fn is_stable(&self, since: Duration, now: Duration) -> bool {
        now.saturating_sub(since) >= self.bounds.stable_after()
    }

    /// A connection that was made at `since` has ended, and if it was retired, after so many
    /// answers. Returns whether that is no failure.
    pub(crate) fn ends(&mut self, since: Duration, now: Duration, retired: Option<u32>) -> bool {
        let worked = retired.is_some_and(|answers| answers >= self.bounds.worked_after);
        let stable = worked || self.is_stable(since, now);
        self.stats.lost += 1;
        self.stats.retired += u64::from(retired.is_some());
        self.stats.unstable += u64::from(!stable);
        self.changed();
        stable
    }

    /// Remembers why there is no connection.
    pub(crate) fn blame(&mut self, cause: C) {
        self.outage = true;
        self.last_cause = Some(cause);
    }

    /// A dial has failed beside a connection that is there.
    pub(crate) fn note(&mut self, cause: C) {
        self.last_cause = Some(cause);
    }

    /// Counts a dial that failed. Returns when the next one is due, from now.
    pub(crate) fn dial_failed(&mut self, now: Duration, random: u64) -> Duration {
        let before = self.count_failure();
        self.pace.after_failure(&self.bounds, before, now, random)
    }

    /// Counts a connection that died young. Returns when the next dial is due, from now.
    pub(crate) fn died_young(&mut self, now: Duration, random: u64) -> Duration {
        let before = self.count_failure();
        self.pace.after_loss(&self.bounds, before, now, random)
    }

    /// Forgets the failures.
    pub(crate) fn recover(&mut self) {
        if self.failures > 0 {
            self.failures = 0;
            self.pace.clear_due();
        }
    }

    /// Returns how many there were before.
    fn count_failure(&mut self) -> u32 {
        self.pace.clear_due();
        let before = self.failures;
        self.failures = before.saturating_add(1);
        before
    }
}

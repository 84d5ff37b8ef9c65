//! When one client dials: its backoff, and where in that it is.

use std::time::Duration;

use crate::backoff::{Backoff, spread};

/// The time between dials. A delay runs from the beginning of the dial that it follows: so clients
/// that dial one after another, and lose their connections together, still dial one after another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    backoff: Backoff,
    first_dial_jitter: Duration,
    /// Where in its steps this client dials.
    place: u64,
    /// When a dial that follows no failure, and is wanted, is due.
    due: Option<Duration>,
    dialled_at: Duration,
}

impl Pace {
    /// Each dial that follows no failure is put off by up to `first_dial_jitter`; `random` says by
    /// how much, until there is a failure.
    pub(crate) fn new(backoff: Backoff, first_dial_jitter: Duration, random: u64) -> Self {
        Self {
            backoff,
            first_dial_jitter,
            place: random,
            due: None,
            dialled_at: Duration::ZERO,
        }
    }

    /// The first step.
    pub(crate) fn base(&self) -> Duration {
        self.backoff.base()
    }

    /// How long a dial that is wanted now, and follows no failure, has to wait.
    pub(crate) fn put_off(&mut self, now: Duration) -> Option<Duration> {
        if self.first_dial_jitter.is_zero() {
            return None;
        }
        let wait = spread(self.first_dial_jitter, self.place);
        let due = *self.due.get_or_insert(now.saturating_add(wait));
        let rest = due.saturating_sub(now);
        (!rest.is_zero()).then_some(rest)
    }

    /// A dial begins.
    pub(crate) fn dials(&mut self, now: Duration) {
        self.due = None;
        self.dialled_at = now;
    }

    /// How long to wait after a dial that failed, with so many failures before: half of the delay
    /// at least, for a dial may take longer than all of it.
    pub(crate) fn after_failure(&mut self, failures: u32, now: Duration, random: u64) -> Duration {
        let delay = self.delay(failures, random);
        self.rest_of(delay, now).max(delay / 2)
    }

    /// How long to wait after a connection was lost before it was stable.
    pub(crate) fn after_loss(&mut self, failures: u32, now: Duration, random: u64) -> Duration {
        let delay = self.delay(failures, random);
        self.rest_of(delay, now)
    }

    /// The first failure of an outage decides the place of all that follow.
    fn delay(&mut self, failures: u32, random: u64) -> Duration {
        if failures == 0 {
            self.place = random;
        }
        self.backoff.delay(failures, self.place, random)
    }

    fn rest_of(&self, delay: Duration, now: Duration) -> Duration {
        delay.saturating_sub(now.saturating_sub(self.dialled_at))
    }
}

/// Without jitter for the first dial.
impl From<Backoff> for Pace {
    fn from(backoff: Backoff) -> Self {
        Self::new(backoff, Duration::ZERO, 0)
    }
}

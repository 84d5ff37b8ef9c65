//! Where in its backoff one client is.

use std::time::Duration;

use crate::{backoff::spread, bounds::Bounds, moment::Moment};

/// The time between dials. A delay runs from the beginning of the dial that it follows: so clients
/// that dial one after another, and lose their connections together, still dial one after another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Where in its steps this client dials.
    place: u64,
    /// While there is no failure, when a dial that is wanted is due. After one, when it is to be
    /// forgotten, once there is a connection. Never both, so they share their room.
    due: Moment,
    dialled_at: Moment,
}

impl Pace {
    /// A dial that follows no failure is put off by as much of its jitter as the random `place`
    /// says, until there is a failure.
    pub(crate) fn new(place: u64) -> Self {
        Self {
            place,
            due: Moment::NEVER,
            dialled_at: Moment::EPOCH,
        }
    }

    /// How long a dial that is wanted now, and follows no failure, has to wait.
    pub(crate) fn put_off(&mut self, bounds: &Bounds, now: Duration) -> Option<Duration> {
        if bounds.first_dial_jitter.is_zero() {
            return None;
        }
        if self.due == Moment::NEVER {
            let wait = spread(bounds.first_dial_jitter, self.place);
            self.due = now.saturating_add(wait).into();
        }
        let rest = Duration::from(self.due).saturating_sub(now);
        (!rest.is_zero()).then_some(rest)
    }

    /// A dial begins.
    pub(crate) fn dials(&mut self, now: Duration) {
        self.dialled_at = now.into();
    }

    /// There is a connection after a failure, which is to be forgotten if that holds.
    pub(crate) fn comes_up(&mut self, bounds: &Bounds, now: Duration) {
        if self.due == Moment::NEVER {
            self.due = now.saturating_add(bounds.stable_after()).into();
        }
    }

    /// When that is due which is, if anything.
    pub(crate) fn due(&self) -> Option<Duration> {
        (self.due != Moment::NEVER).then(|| self.due.into())
    }

    /// Nothing is due any more.
    pub(crate) fn clear_due(&mut self) {
        self.due = Moment::NEVER;
    }

    /// How long to wait after a dial that failed, with so many failures before: half of the delay
    /// at least, for a dial may take longer than all of it.
    pub(crate) fn after_failure(
        &mut self,
        bounds: &Bounds,
        failures: u32,
        now: Duration,
        random: u64,
    ) -> Duration {
        let delay = self.delay(bounds, failures, random);
        self.rest_of(delay, now).max(delay / 2)
    }

    /// How long to wait after a connection was lost before it was stable.
    pub(crate) fn after_loss(
        &mut self,
        bounds: &Bounds,
        failures: u32,
        now: Duration,
        random: u64,
    ) -> Duration {
        let delay = self.delay(bounds, failures, random);
        self.rest_of(delay, now)
    }

    /// The first failure of an outage decides the place of all that follow.
    fn delay(&mut self, bounds: &Bounds, failures: u32, random: u64) -> Duration {
        if failures == 0 {
            self.place = random;
        }
        bounds.backoff.delay(failures, self.place, random)
    }

    fn rest_of(&self, delay: Duration, now: Duration) -> Duration {
        delay.saturating_sub(now.saturating_sub(self.dialled_at.into()))
    }
}

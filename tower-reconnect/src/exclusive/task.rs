//! What the task that dials does with the pool.

use std::{mem, time::Duration};

use super::{
    gate::{Step, Ticket},
    pool::{Held, Inner, Pool},
};
use crate::{
    driver::{Drive, Driver, Next, Outcome},
    error::Cause,
    mode::Mode,
    observer::Event,
    waiters::wake_all,
};

impl<S: Send + 'static> Drive for Pool<S> {
    type Connection = S;
    type Ticket = Ticket;

    fn driver(&self) -> &Driver<Self> {
        &self.driver
    }

    fn next(&self) -> Next<Ticket> {
        let now = self.reporter.now();
        let (step, expired, unused, at) = self.change(|inner| {
            let expired = inner.waiters.take_expired(now);
            let unused = inner.take_unused(now);
            let wanted = inner.wanted(self.policy.eager);
            let step = inner.gate.next(now, wanted);
            if let Step::Dial(_) = step {
                inner.refused = false;
            }
            (step, expired, unused, inner.wake_at())
        });
        for (since, unused) in unused {
            let connection = unused.generation;
            drop(unused);
            let age = now.saturating_sub(since);
            self.reporter.tell(&Event::Unused { connection, age });
        }
        wake_all(expired);
        let other = (at < Duration::MAX).then(|| at.saturating_sub(now));
        match step {
            Step::Dial(ticket) => {
                self.reporter.tell(&Event::DialStarted);
                Next::Dial(ticket)
            }
            Step::Sleep(delay) => Next::Wait(Some(other.map_or(delay, |other| other.min(delay)))),
            Step::Wait => Next::Wait(other),
        }
    }

    fn finish(&self, ticket: Ticket, outcome: Outcome<S>, took: Duration) {
        match outcome {
            Ok(service) => self.connected(ticket, service, took),
            Err(cause) => self.failed(ticket, &Cause::from(cause), took),
        }
    }

    fn close(&self) {
        self.shut();
    }
}

impl<S> Pool<S> {
    fn connected(&self, ticket: Ticket, service: S, took: Duration) {
        let now = self.reporter.now();
        let connected = self.change(|inner| {
            let Some(connection) = inner.gate.connected(ticket, now) else {
                return Err(service);
            };
            let held = inner.hold(connection, service, self.limits.max_age.is_some());
            let waker = self.give(inner, held, now);
            Ok((connection, inner.gate.failures(), waker))
        });
        let Ok((connection, failures, waker)) = connected else {
            return;
        };
        self.reporter.tell(&Event::Connected {
            connection,
            took,
            failures,
        });
        wake_all(waker.into_iter().collect());
    }

    fn failed(&self, ticket: Ticket, cause: &Cause, took: Duration) {
        let now = self.reporter.now();
        let random = self.policy.chance.draw();
        let (delay, failures, wakers) = self.change(|inner| {
            let delay = inner.gate.failed(ticket, now, cause.clone(), random);
            let wakers = match self.policy.mode {
                // Dials that are under way are still waited for, by as many.
                Mode::FailFast => inner.waiters.take_all_but(inner.gate.dialling()),
                Mode::Balanced | Mode::BoundedWait(_) => Vec::new(),
            };
            (delay, inner.gate.failures(), wakers)
        });
        if let Some(retry_in) = delay {
            self.reporter.tell(&Event::DialFailed {
                cause,
                took,
                failures,
                retry_in,
            });
        }
        wake_all(wakers);
    }
}

impl<S> Inner<S> {
    fn wanted(&self, eager: bool) -> usize {
        let asked = self.refused || eager && self.gate.stats().open == 0;
        self.waiters.len().max(usize::from(asked))
    }

    /// Takes the connections that nobody has had for the idle time, or that are too old to be
    /// given to anybody, each with since when it was there.
    fn take_unused(&mut self, now: Duration) -> Vec<(Duration, Held<S>)> {
        let spare = mem::take(&mut self.spare);
        let (over, spare): (Vec<_>, Vec<_>) =
            spare.into_iter().partition(|(until, _)| *until <= now);
        self.spare = spare;
        let over = over.into_iter().map(|(_, held)| {
            self.replaceable.remove(&held.generation);
            let since = self.gate.unused(held.generation, now);
            (since.unwrap_or(now), held)
        });
        over.collect()
    }

    /// When there is something to do besides what the gate knows of.
    pub(super) fn wake_at(&self) -> Duration {
        let spare = self.spare.iter().map(|(until, _)| *until).min();
        let waiter = self.waiters.earliest();
        let never = Duration::MAX;
        spare.unwrap_or(never).min(waiter.unwrap_or(never))
    }
}

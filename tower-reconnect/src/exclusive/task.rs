//! What the task that dials does with the pool.

use std::time::Duration;

use super::{
    gate::{Step, Ticket},
    pool::{Inner, Pool},
    stock::Held,
};
use crate::{
    driver::{Drive, Driver, Next, Outcome, discard},
    error::Cause,
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
        let now = self.inner.now();
        let (step, expired, unused, at) = self.inner.change(|inner| {
            let expired = inner.waiters.take_expired(now);
            let unused = inner.take_unused(now);
            let wanted = inner.wanted(self.settings.eager);
            let step = inner.gate.next(now, wanted);
            if let Step::Dial(_) = step {
                inner.refused = false;
            }
            (step, expired, unused, inner.wake_at())
        });
        for (since, unused) in unused {
            let connection = unused.generation;
            discard(unused);
            let age = now.saturating_sub(since);
            self.inner.tell(&Event::Unused { connection, age });
        }
        wake_all(expired);
        let other = (at < Duration::MAX).then(|| at.saturating_sub(now));
        match step {
            Step::Dial(ticket) => {
                self.inner.tell(&Event::DialStarted);
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
        let now = self.inner.now();
        let connected = self.inner.change(|inner| {
            let Some(connection) = inner.gate.connected(ticket, now) else {
                return Err(service);
            };
            let ages = self.settings.bounds.limits.max_age.is_some();
            let held = inner
                .stock
                .hold(connection, service, self.settings.work(), ages);
            let waker = self.give(inner, held, now);
            Ok((connection, inner.gate.history().failures(), waker))
        });
        let Ok((connection, failures, waker)) = connected else {
            return;
        };
        self.inner.tell(&Event::Connected {
            connection,
            took,
            failures,
        });
        wake_all(waker.into_iter().collect());
    }

    fn failed(&self, ticket: Ticket, cause: &Cause, took: Duration) {
        let now = self.inner.now();
        let random = self.chance.draw(self.settings.seed);
        let (delay, failures, wakers) = self.inner.change(|inner| {
            let delay = inner.gate.failed(ticket, now, cause.clone(), random);
            let wakers = inner.take_refused(self.settings.mode);
            (delay, inner.gate.history().failures(), wakers)
        });
        if let Some(retry_in) = delay {
            self.inner.tell(&Event::DialFailed {
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
        let asked = self.refused || eager && self.gate.open() == 0;
        self.waiters.len().max(usize::from(asked))
    }

    /// Takes the connections that nobody has had for the idle time, or that are too old to be
    /// given to anybody, each with since when it was there.
    fn take_unused(&mut self, now: Duration) -> Vec<(Duration, Held<S>)> {
        let over = self.stock.take_over(now).into_iter().map(|held| {
            let since = self.gate.unused(held.generation);
            (since.unwrap_or(now), held)
        });
        over.collect()
    }

    /// When there is something to do besides what the gate knows of.
    pub(super) fn wake_at(&self) -> Duration {
        let waiter = self.waiters.earliest().unwrap_or(Duration::MAX);
        self.stock.next_over().min(waiter)
    }
}

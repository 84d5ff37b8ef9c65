//! What the task that dials does with the shared state.

use std::{sync::Arc, time::Duration};

use super::{Connection, Shared};
use crate::{
    driver::{Drive, Driver, Next, Outcome, discard},
    error::Cause,
    machine::Step,
    mode::Mode,
    observer::Event,
    waiters::wake_all,
};

impl<S: Send + Sync + 'static> Drive for Shared<S> {
    type Connection = S;
    type Ticket = ();

    fn driver(&self) -> &Driver<Self> {
        &self.driver
    }

    fn next(&self) -> Next<()> {
        let now = self.inner.now();
        loop {
            let (step, expired, earliest) = self.inner.change(|inner| {
                let expired = inner.waiters.take_expired(now);
                let demand = self.settings.eager || inner.refused || inner.waiters.any();
                let step = inner.machine.next(now, demand);
                if step == Step::Dial {
                    inner.refused = false;
                }
                (step, expired, inner.waiters.earliest())
            });
            wake_all(expired);
            let earliest = earliest.map(|until| until.saturating_sub(now));
            match step {
                Step::Dial => {
                    self.inner.tell(&Event::DialStarted);
                    return Next::Dial(());
                }
                Step::Look => self.look(now),
                Step::Sleep(delay) => {
                    return Next::Wait(Some(earliest.map_or(delay, |other| other.min(delay))));
                }
                Step::Wait => return Next::Wait(earliest),
            }
        }
    }

    fn finish(&self, (): (), outcome: Outcome<S>, took: Duration) {
        match outcome {
            Ok(service) => self.connected(service, took),
            Err(cause) => self.failed(&Cause::from(cause), took),
        }
    }

    fn close(&self) {
        self.shut();
    }
}

impl<S> Shared<S> {
    /// Nothing is dialled any more, and nobody waits for it.
    pub(super) fn shut(&self) {
        let (open, connection, wakers) = self.inner.change(|inner| {
            let open = inner.machine.close();
            (open, self.replace(None), inner.waiters.take_all())
        });
        discard(connection);
        self.driver.stop();
        if open {
            self.inner.tell(&Event::Closed);
        }
        wake_all(wakers);
    }

    fn connected(&self, service: S, took: Duration) {
        let now = self.inner.now();
        let connected = self.inner.change(|inner| {
            let replaced = inner.machine.connection();
            let generation = inner.machine.connected(now)?;
            let connection = Connection {
                generation,
                work: self.settings.work(),
                service,
            };
            let old = match replaced {
                Some(_) => self.drain(Some(connection)),
                None => self.replace(Some(connection)),
            };
            self.current.look();
            let failures = inner.machine.history().failures();
            Some((
                generation,
                failures,
                replaced,
                old,
                inner.waiters.take_all(),
            ))
        });
        let Some((connection, failures, replaced, old, wakers)) = connected else {
            return;
        };
        discard(old);
        self.inner.tell(&Event::Connected {
            connection,
            took,
            failures,
        });
        if let Some((connection, since)) = replaced {
            let age = now.saturating_sub(since);
            self.inner.tell(&Event::Replaced { connection, age });
        }
        wake_all(wakers);
    }

    fn failed(&self, cause: &Cause, took: Duration) {
        let now = self.inner.now();
        let random = self.chance.draw(self.settings.seed);
        let (delay, failures, wakers) = self.inner.change(|inner| {
            let delay = inner.machine.failed(now, cause.clone(), random);
            let wakers = match self.settings.mode {
                Mode::FailFast => inner.waiters.take_all(),
                Mode::Balanced | Mode::BoundedWait(_) => Vec::new(),
            };
            (delay, inner.machine.history().failures(), wakers)
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

    /// Looks whether the connection is used, and closes it if it has not been for long.
    fn look(&self, now: Duration) {
        let used = self.current.look();
        let closed = self.inner.change(|inner| {
            let connection = inner.machine.connection();
            let over = inner.machine.looked(now, used);
            over.then(|| (connection, self.drain(None)))
        });
        if let Some((Some((connection, since)), old)) = closed {
            discard(old);
            let age = now.saturating_sub(since);
            self.inner.tell(&Event::Unused { connection, age });
        }
    }

    /// Like [`replace`](Self::replace) for a connection that is not known to be dead.
    fn drain(&self, connection: Option<Connection<S>>) -> Option<Arc<Connection<S>>> {
        self.current.drain();
        self.replace(connection)
    }
}

//! What the task that dials does with the shared state.

use std::{error::Error, task::Waker};

use super::{Connection, Shared};
use crate::{
    error::{BoxError, Cause},
    layer::Mode,
    machine::Step,
};

impl<S> Shared<S> {
    /// What the task has to do now.
    pub(crate) fn next(&self) -> Step {
        let now = self.now();
        let step = self.change(|inner| {
            let demand = inner.refused || inner.waiters.any();
            let step = inner.machine.next(now, demand);
            if step == Step::Dial {
                inner.refused = false;
            }
            step
        });
        if step == Step::Dial {
            tracing::debug!(name = self.name(), "dialling");
        }
        step
    }

    /// Gives the outcome of a dial to all who wait for it.
    pub(crate) fn finish(&self, outcome: Result<S, BoxError>) {
        match outcome {
            Ok(service) => self.connected(service),
            Err(cause) => self.failed(&Cause::from(cause)),
        }
    }

    /// The task has ended.
    pub(crate) fn close(&self) {
        let (open, connection, launch, wakers) = self.change(|inner| {
            let open = inner.machine.close();
            let wakers = inner.waiters.take_all();
            (open, self.replace(None), inner.launch.take(), wakers)
        });
        drop((connection, launch));
        if open {
            tracing::debug!(name = self.name(), "closed");
        }
        wake_all(wakers);
    }

    fn connected(&self, service: S) {
        let now = self.now();
        let connected = self.change(|inner| {
            let generation = inner.machine.connected(now)?;
            // A connection that is replaced after it did its work is nothing to tell of.
            let news = generation == 1 || inner.machine.failures() > 0;
            let connection = Connection {
                generation,
                service,
            };
            let replaced = self.replace(Some(connection));
            Some((news, replaced, inner.waiters.take_all()))
        });
        if let Some((news, _, wakers)) = connected {
            match news {
                true => tracing::info!(name = self.name(), "connected"),
                false => tracing::debug!(name = self.name(), "connected again"),
            }
            wake_all(wakers);
        }
    }

    fn failed(&self, cause: &Cause) {
        let now = self.now();
        let random = self.chance.draw();
        let (delay, failures, wakers) = self.change(|inner| {
            let delay = inner.machine.failed(now, cause.clone(), random);
            let wakers = match self.mode {
                Mode::Balanced => Vec::new(),
                Mode::FailFast => inner.waiters.take_all(),
            };
            (delay, inner.machine.failures(), wakers)
        });
        let error: &(dyn Error + 'static) = &**cause;
        tracing::warn!(name = self.name(), error, ?delay, failures, "dial failed");
        wake_all(wakers);
    }
}

fn wake_all(wakers: Vec<Waker>) {
    for waker in wakers {
        waker.wake();
    }
}

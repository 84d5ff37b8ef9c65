//! What the end of a request means for its endpoint's health.

use std::{sync::Arc, time::Duration};

use crate::{
    Event,
    common::Name,
    health::{Report, State, Surroundings, Ticket},
    load::Load,
};

impl Load<dyn Name> {
    /// The request of `ticket` was answered well by an endpoint that is not admitted.
    pub(crate) fn proved_well(self: &Arc<Self>, ticket: Ticket, now: u64) {
        self.report(self.common.register.succeeded(self, ticket, now));
    }

    /// The request of `ticket` is a failure. Latency has no part in it: a failure that is quick
    /// must not look attractive.
    pub(crate) fn failed(self: &Arc<Self>, ticket: Ticket, now: u64) {
        self.record_failure(ticket, now);
        let around = self.surroundings(now);
        self.report(self.common.register.failed(self, ticket, around));
    }

    /// Likewise, and the endpoint asks to be left alone.
    pub(crate) fn pushed_back(self: &Arc<Self>, ticket: Ticket, pause: Duration, now: u64) {
        self.record_failure(ticket, now);
        let around = self.surroundings(now);
        let nanos = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
        let register = &self.common.register;
        let report = register
            .pushed_back(self, ticket, nanos, around)
            .or_else(|| register.failed(self, ticket, around));
        self.report(report);
    }

    pub(crate) fn unproven(self: &Arc<Self>, ticket: Ticket, hung: bool, now: u64) {
        if ticket.probe.is_some() {
            let around = self.surroundings(now);
            self.common.register.unproven(self, ticket, hung, around);
        }
    }

    /// A request has no longer to be waited for, which on probation makes room for another, and may
    /// have changed the endpoint's state from what it was `before`.
    #[inline]
    pub(crate) fn made_room(&self, before: State) {
        if before == State::Admitted && self.is_admitted() {
            return;
        }
        if matches!(before, State::Probation(_)) || self.state() != before {
            self.common.changed.notify_waiters();
        }
    }

    /// What was sent before the last ejection is not held against the endpoint after it.
    fn record_failure(&self, ticket: Ticket, now: u64) {
        if ticket.ejections == self.ticket(None).ejections {
            self.outcomes().record_failure(now);
        } else {
            self.outcomes().record_old_failure();
        }
    }

    fn surroundings(&self, now: u64) -> Surroundings {
        let typical = &self.common.typical;
        Surroundings {
            now,
            failing: typical.failing(),
            rate: typical.rate(),
            chance: self.common.chance.uniform(),
        }
    }

    fn report(&self, report: Option<Report>) {
        let Some(report) = report else {
            return;
        };
        self.tell(|endpoint| match report {
            Report::Ejected { reason, nanos } => Event::Ejected {
                endpoint,
                reason,
                duration: Duration::from_nanos(nanos),
            },
            Report::Spared(reason) => Event::Spared { endpoint, reason },
            Report::Readmitted => Event::Readmitted { endpoint },
            Report::Recovered => Event::Recovered { endpoint },
        });
    }
}

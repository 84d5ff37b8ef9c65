//! A shared connection that is there: when it is to be renewed, and when to look at its use.

use std::time::Duration;

use crate::{
    limits::{Limits, Usage},
    machine::Step,
    moment::Moment,
};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    generation: u64,
    since: Moment,
    pub(crate) renewal: Renewal,
    usage: Usage,
}

/// What is done to replace a connection before its end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Renewal {
    Due(Moment),
    Dialling,
    BackingOff(Moment),
    Never,
}

impl Life {
    pub(crate) fn new(generation: u64, now: Duration, limits: &Limits) -> Self {
        let renew_at = limits.renew_at(now, generation);
        Self {
            generation,
            since: now.into(),
            renewal: renew_at.map_or(Renewal::Never, |at| Renewal::Due(at.into())),
            usage: limits.usage(now, generation),
        }
    }

    /// In the place of `old`: whoever did not use that one does not use this one either.
    pub(crate) fn after(self, old: &Self) -> Self {
        Self {
            usage: old.usage,
            ..self
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn since(&self) -> Duration {
        self.since.into()
    }

    /// What there is to do for it, with or without demand.
    pub(crate) fn next(&self, now: Duration) -> Step {
        let look_at = Duration::from(self.usage.look_at);
        if look_at <= now {
            return Step::Look;
        }
        let dial_at = match self.renewal {
            Renewal::Due(at) | Renewal::BackingOff(at) => at,
            Renewal::Dialling | Renewal::Never => Moment::NEVER,
        };
        let dial_at = Duration::from(dial_at);
        if dial_at <= now {
            return Step::Dial;
        }
        match look_at.min(dial_at) {
            Duration::MAX => Step::Wait,
            at => Step::Sleep(at.saturating_sub(now)),
        }
    }

    /// Whether it has been unused for the idle time, when it was `used` or not since the last look.
    pub(crate) fn looked(&mut self, now: Duration, used: bool, limits: &Limits) -> bool {
        let over = limits.is_over(&mut self.usage, now, used);
        // One that is being replaced is closed at a later look, so that its dial has a place.
        over && !matches!(self.renewal, Renewal::Dialling)
    }
}

use std::sync::{Arc, Weak};

use super::{State, owed::LATER, register::NEVER, standing::Standing};

/// What the register knows of one endpoint.
pub(super) struct Case<M: ?Sized> {
    pub(super) member: Weak<M>,
    pub(super) stage: Stage,
    /// When there is something to do.
    pub(super) due: u64,
    /// Ejections in a row.
    pub(super) row: u32,
    /// The length of the last one.
    pub(super) nanos: u64,
    /// Probes in a row that had no verdict.
    pub(super) unproven: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    /// Has joined, and had no request yet.
    Newcomer,
    /// Left alone until `due`.
    Ejected,
    Probing,
    Probation(Probation),
    /// Like the others, but its ejections are remembered until `due`.
    Recovered,
}

/// More requests without an answer at a time as they go well.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probation {
    most: u32,
    successes: u32,
    failures: u32,
    /// Successes since `most` has changed.
    step: u32,
}

impl<M: ?Sized> Case<M> {
    pub(super) fn new(member: &Arc<M>, stage: Stage, due: u64) -> Self {
        Self {
            member: Arc::downgrade(member),
            stage,
            due,
            row: 0,
            nanos: 0,
            unproven: 0,
        }
    }

    pub(super) fn is_ejected(&self) -> bool {
        matches!(self.stage, Stage::Ejected | Stage::Probing)
    }

    /// Before the next probe, after one more without a verdict: none at first, then 100 ms, and
    /// twice that each time, up to the length of the ejection.
    pub(super) fn pause(&mut self) -> u64 {
        let before = self.unproven;
        self.unproven = before.saturating_add(1);
        match before {
            0 => 0,
            again => (LATER << (again - 1).min(20)).min(self.nanos),
        }
    }

    pub(super) fn is_due(&self, now: u64) -> bool {
        self.due <= now
    }

    pub(super) fn begin_probation(&mut self, standing: &Standing) {
        self.stage = Stage::Probation(Probation {
            most: 1,
            successes: 1,
            failures: 0,
            step: 0,
        });
        self.due = NEVER;
        self.unproven = 0;
        standing.set(State::Probation(1));
    }
}

impl Probation {
    /// True if that was the last one.
    pub(super) fn succeeded(&mut self, standing: &Standing) -> bool {
        self.successes += 1;
        self.step += 1;
        if self.step < self.most {
            return false;
        }
        self.step = 0;
        self.most *= 2;
        let is_over = self.most > MOST_ON_PROBATION;
        standing.set(if is_over {
            State::Admitted
        } else {
            State::Probation(self.most)
        });
        is_over
    }

    /// True if probation has failed: fewer than `least` of its requests went well, with the
    /// benefit of one doubt.
    pub(super) fn failed(&mut self, least: f64) -> bool {
        self.failures += 1;
        let successes = f64::from(self.successes) + 1.0;
        successes / (successes + f64::from(self.failures)) < least
    }
}

const MOST_ON_PROBATION: u32 = 16;

//! The backoffs of others, by their rules.

use std::time::Duration;

use rand::{RngExt as _, rngs::SmallRng};

/// How one client waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model {
    rule: Rule,
    retries: i32,
    /// The last delay, in seconds.
    previous: f64,
}

/// Seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) base: f64,
    pub(super) factor: f64,
    pub(super) max: f64,
    pub(super) jitter: Jitter,
    /// Whether the first delay is waited also after a connection was lost, instead of nothing.
    pub(super) waits_after_loss: bool,
    /// Whether a delay counts from the beginning of the dial.
    pub(super) from_the_dial: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Jitter {
    /// Up to so much more, but no more than the maximum.
    More(f64),
    /// Up to so much more or less.
    Around(f64),
    /// From nothing to all of the step.
    Full,
    /// From half of the step to all of it.
    Equal,
    /// From the base to three times the delay before.
    Decorrelated,
    /// Full until the step is at the maximum, then from half as far down each time, to an eighth.
    Narrowing,
}

impl Model {
    pub(super) fn new(rule: Rule) -> Self {
        Self {
            rule,
            retries: 0,
            previous: rule.base,
        }
    }

    /// What is waited after a dial that failed and took so long.
    pub(super) fn failed(&mut self, took: Duration, random: &mut SmallRng) -> Duration {
        let took = if self.rule.from_the_dial {
            took
        } else {
            Duration::ZERO
        };
        self.next(random).saturating_sub(took)
    }

    /// What is waited after a connection was lost. All of them begin anew by then, however short
    /// it lived.
    pub(super) fn lost(&mut self, random: &mut SmallRng) -> Duration {
        *self = Self::new(self.rule);
        if self.rule.waits_after_loss {
            return self.next(random);
        }
        Duration::ZERO
    }

    fn next(&mut self, random: &mut SmallRng) -> Duration {
        let Rule {
            base, factor, max, ..
        } = self.rule;
        let unbounded = base * factor.powi(self.retries);
        let step = unbounded.min(max);
        let delay = match self.rule.jitter {
            Jitter::More(part) => (step * (1.0 + part * random.random::<f64>())).min(max),
            Jitter::Around(part) => step * (1.0 - part + 2.0 * part * random.random::<f64>()),
            Jitter::Full => step * random.random::<f64>(),
            Jitter::Equal => step * (0.5 + 0.5 * random.random::<f64>()),
            Jitter::Decorrelated => random.random_range(base..=3.0 * self.previous).min(max),
            Jitter::Narrowing => {
                let width = (max / unbounded).clamp(0.125, 1.0);
                step * (1.0 - width * random.random::<f64>())
            }
        };
        self.retries += 1;
        self.previous = delay;
        Duration::from_secs_f64(delay)
    }
}

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    Classify,
    estimator::{Estimator, Settings, Transition},
    lanes::{Lane, Lanes},
    stats::Stats,
};

/// Where limits come from. Clones learn together.
pub(crate) enum Limiter<C> {
    Fixed(Duration),
    Learnt(Arc<Lanes<Learner<C>>>),
}

/// What a request tells of how it ended.
pub(crate) enum Watch<C> {
    Fixed,
    Learnt(Arc<Lane<Learner<C>>>),
}

pub(crate) struct Learner<C> {
    estimator: Estimator,
    classify: C,
    /// What the estimator counts time from.
    epoch: Instant,
}

impl<C> Limiter<C> {
    pub(crate) fn learnt(settings: Settings, classify: C) -> Self {
        Self::Learnt(Arc::new(Lanes::new(Learner {
            estimator: Estimator::new(settings),
            classify,
            epoch: Instant::now(),
        })))
    }

    pub(crate) fn limit(&self) -> Duration {
        match self {
            Self::Fixed(limit) => *limit,
            Self::Learnt(lanes) => lanes.core().estimator.limit(),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        match self {
            Self::Fixed(limit) => Stats::fixed(*limit),
            Self::Learnt(lanes) => Stats::of(&lanes.core().estimator),
        }
    }

    /// For a request.
    pub(crate) fn watch(&self) -> Watch<C> {
        match self {
            Self::Fixed(_) => Watch::Fixed,
            Self::Learnt(lanes) => Watch::Learnt(Arc::clone(lanes.lane())),
        }
    }
}

impl<C> Watch<C> {
    /// A request that started then was not answered at the first poll: it waits, until one of those
    /// below says what became of it.
    pub(crate) fn waits(&self, start: Instant) {
        if let Some(learner) = self.learner() {
            learner.estimator.waits(learner.nanos(start));
        }
    }

    /// Reads the clock only for what is learnt from, as the others do that end a request.
    pub(crate) fn answered<T>(&self, start: Instant, waited: bool, response: &T)
    where
        C: Classify<T>,
    {
        if let Some(learner) = self.learner() {
            if learner.classify.is_sample(response) {
                let now = learner.ended(start, waited);
                let transition = learner.estimator.answered(now.age, now.nanos);
                log(transition, &learner.estimator);
            } else {
                self.failed(start, waited);
            }
        }
    }

    /// What is no sample.
    pub(crate) fn failed(&self, start: Instant, waited: bool) {
        if let Some(learner) = self.learner()
            && waited
        {
            learner.ended(start, waited);
        }
    }

    pub(crate) fn timed_out(&self, start: Instant, limit: Duration) {
        if let Some(learner) = self.learner() {
            let now = learner.ended(start, true);
            let transition = learner.estimator.timed_out(limit, now.nanos);
            log(transition, &learner.estimator);
        }
    }

    /// Of one that waited.
    pub(crate) fn cancelled(&self, start: Instant) {
        if let Some(learner) = self.learner() {
            let now = learner.ended(start, true);
            learner.estimator.cancelled(now.age, now.nanos);
        }
    }

    fn learner(&self) -> Option<&Learner<C>> {
        match self {
            Self::Fixed => None,
            Self::Learnt(lane) => Some(&lane.core),
        }
    }
}

/// The moment at which a request ends.
struct End {
    age: Duration,
    /// Since the epoch.
    nanos: u64,
}

impl<C> Learner<C> {
    fn ended(&self, start: Instant, waited: bool) -> End {
        let now = Instant::now();
        let nanos = self.nanos(now);
        if waited {
            self.estimator.ended(self.nanos(start), nanos);
        }
        End {
            age: now.saturating_duration_since(start),
            nanos,
        }
    }

    fn nanos(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.epoch);
        // Of 64 bits, which last for centuries.
        (since.as_secs().saturating_mul(1_000_000_000)).saturating_add(since.subsec_nanos().into())
    }
}

impl<C> Clone for Limiter<C> {
    fn clone(&self) -> Self {
        match self {
            Self::Fixed(limit) => Self::Fixed(*limit),
            Self::Learnt(lanes) => Self::Learnt(Arc::clone(lanes)),
        }
    }
}

/// A closure has no `Debug`.
impl<C> fmt::Debug for Limiter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(limit) => f.debug_tuple("Fixed").field(limit).finish(),
            Self::Learnt(lanes) => {
                let estimator = &lanes.core().estimator;
                f.debug_tuple("Learnt").field(estimator).finish()
            }
        }
    }
}

pub(crate) fn since(start: Instant) -> Duration {
    Instant::now().saturating_duration_since(start)
}

fn log(transition: Option<Transition>, estimator: &Estimator) {
    let Some(transition) = transition else { return };
    let limit = estimator.limit();
    match transition {
        Transition::Relaxing => {
            tracing::debug!(?limit, "many requests time out: the limit may only grow");
        }
        Transition::Following => {
            tracing::debug!(
                ?limit,
                "timeouts are rare again: the limit follows the answers"
            );
        }
    }
}

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    Classify,
    estimator::{Estimator, Settings, Transition},
    stats::Stats,
};

/// Where limits come from, and what is told how requests ended. Clones learn together.
pub(crate) enum Limiter<C> {
    Fixed(Duration),
    Learnt(Arc<Learner<C>>),
}

pub(crate) struct Learner<C> {
    estimator: Estimator,
    classify: C,
}

impl<C> Limiter<C> {
    pub(crate) fn learnt(settings: Settings, classify: C) -> Self {
        Self::Learnt(Arc::new(Learner {
            estimator: Estimator::new(settings),
            classify,
        }))
    }

    pub(crate) fn limit(&self) -> Duration {
        match self {
            Self::Fixed(limit) => *limit,
            Self::Learnt(learner) => learner.estimator.limit(),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        match self {
            Self::Fixed(limit) => Stats::fixed(*limit),
            Self::Learnt(learner) => Stats::of(&learner.estimator),
        }
    }

    /// Reads the clock only for what is learnt from, as [`cancelled`](Self::cancelled) does.
    pub(crate) fn answered<T>(&self, start: Instant, response: &T)
    where
        C: Classify<T>,
    {
        if let Self::Learnt(learner) = self
            && learner.classify.is_sample(response)
        {
            let transition = learner.estimator.answered(since(start));
            log(transition, &learner.estimator);
        }
    }

    pub(crate) fn timed_out(&self, limit: Duration) {
        if let Self::Learnt(learner) = self {
            log(learner.estimator.timed_out(limit), &learner.estimator);
        }
    }

    pub(crate) fn cancelled(&self, start: Instant) {
        if let Self::Learnt(learner) = self {
            learner.estimator.cancelled(since(start));
        }
    }
}

impl<C> Clone for Limiter<C> {
    fn clone(&self) -> Self {
        match self {
            Self::Fixed(limit) => Self::Fixed(*limit),
            Self::Learnt(learner) => Self::Learnt(Arc::clone(learner)),
        }
    }
}

/// A closure has no `Debug`.
impl<C> fmt::Debug for Limiter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(limit) => f.debug_tuple("Fixed").field(limit).finish(),
            Self::Learnt(learner) => f.debug_tuple("Learnt").field(&learner.estimator).finish(),
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

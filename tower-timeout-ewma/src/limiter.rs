use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    Classify,
    estimator::{Estimator, Settings, Transition},
    stats::Stats,
};

/// Where limits come from, and what is told how requests ended. Clones learn together.
pub struct Limiter<C>(Kind<C>);

enum Kind<C> {
    Fixed(Duration),
    Learnt(Arc<Learner<C>>),
    /// What a key's requests are limited by, and what all keys' together teach.
    OfKey(Arc<Estimator>, Arc<Learner<C>>),
}

struct Learner<C> {
    estimator: Estimator,
    settings: Settings,
    classify: C,
}

impl<C> Limiter<C> {
    pub(crate) fn fixed(limit: Duration) -> Self {
        Self(Kind::Fixed(limit))
    }

    pub(crate) fn learnt(settings: Settings, classify: C) -> Self {
        Self(Kind::Learnt(Arc::new(Learner {
            estimator: Estimator::new(settings),
            settings,
            classify,
        })))
    }

    pub(crate) fn limit(&self) -> Duration {
        match &self.0 {
            Kind::Fixed(limit) => *limit,
            Kind::Learnt(learner) => learner.estimator.limit(),
            Kind::OfKey(estimator, _) => estimator.limit(),
        }
    }

    /// What `find` finds or makes limits the requests of one key; a fixed limit is that of all.
    pub(crate) fn of_key(
        &self,
        find: impl FnOnce(&dyn Fn() -> Estimator) -> Arc<Estimator>,
    ) -> Self {
        match &self.0 {
            Kind::Learnt(learner) => {
                Self(Kind::OfKey(find(&|| learner.cold()), Arc::clone(learner)))
            }
            _ => self.clone(),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        match &self.0 {
            Kind::Fixed(limit) => Stats::fixed(*limit),
            Kind::Learnt(learner) => Stats::of(&learner.estimator),
            Kind::OfKey(estimator, _) => Stats::of(estimator),
        }
    }

    pub(crate) fn is_sample<T>(&self, response: &T) -> bool
    where
        C: Classify<T>,
    {
        match &self.0 {
            Kind::Fixed(_) => false,
            Kind::Learnt(learner) | Kind::OfKey(_, learner) => learner.classify.is_sample(response),
        }
    }

    /// As [`is_sample`](Self::is_sample) and [`sample`](Self::sample), in fewer steps.
    #[inline]
    pub(crate) fn answered<T>(&self, start: Instant, response: &T)
    where
        C: Classify<T>,
    {
        if let Kind::Learnt(learner) = &self.0 {
            if learner.classify.is_sample(response) {
                let transition = learner.estimator.answered(since(start));
                log(transition, &learner.estimator);
            }
        } else if self.is_sample(response) {
            self.sample(start);
        }
    }

    /// What began at `start` has ended as it should.
    pub(crate) fn sample(&self, start: Instant) {
        self.teach(Estimator::answered, start);
    }

    pub(crate) fn timed_out(&self, limit: Duration) {
        match &self.0 {
            Kind::Fixed(_) => {}
            Kind::Learnt(learner) => learner.timed_out(limit),
            Kind::OfKey(estimator, learner) => {
                log(estimator.timed_out(limit), estimator);
                learner.timed_out(limit);
            }
        }
    }

    pub(crate) fn cancelled(&self, start: Instant) {
        let cancelled = |estimator: &Estimator, age| {
            estimator.cancelled(age);
            None
        };
        self.teach(cancelled, start);
    }

    /// Reads the clock only if there is something to teach.
    fn teach(&self, lesson: impl Fn(&Estimator, Duration) -> Option<Transition>, start: Instant) {
        match &self.0 {
            Kind::Fixed(_) => {}
            Kind::Learnt(learner) => {
                log(lesson(&learner.estimator, since(start)), &learner.estimator);
            }
            Kind::OfKey(estimator, learner) => {
                let age = since(start);
                log(lesson(estimator, age), estimator);
                log(lesson(&learner.estimator, age), &learner.estimator);
            }
        }
    }
}

impl<C> Learner<C> {
    /// For a key that nothing is known of: it begins with the limit that all keys have taught.
    fn cold(&self) -> Estimator {
        Estimator::new(Settings {
            initial: self.estimator.limit(),
            ..self.settings
        })
    }

    fn timed_out(&self, limit: Duration) {
        log(self.estimator.timed_out(limit), &self.estimator);
    }
}

impl<C> Clone for Limiter<C> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Kind::Fixed(limit) => Kind::Fixed(*limit),
            Kind::Learnt(learner) => Kind::Learnt(Arc::clone(learner)),
            Kind::OfKey(estimator, learner) => {
                Kind::OfKey(Arc::clone(estimator), Arc::clone(learner))
            }
        })
    }
}

/// A closure has no `Debug`.
impl<C> fmt::Debug for Limiter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Fixed(limit) => f.debug_tuple("Fixed").field(limit).finish(),
            Kind::Learnt(learner) => f.debug_tuple("Learnt").field(&learner.estimator).finish(),
            Kind::OfKey(estimator, _) => f.debug_tuple("OfKey").field(estimator).finish(),
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

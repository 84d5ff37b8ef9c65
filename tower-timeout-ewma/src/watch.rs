//! What is told of how requests end.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    Classify,
    estimator::{Estimator, Settings, Transition},
    lanes::Lane,
};

/// A request's part in what is learnt.
///
/// Where `waited` is asked for, it is the start that [`waits`](Self::waits) was told, if it was.
pub struct Watch<C>(Kind<C>);

enum Kind<C> {
    Fixed(Duration),
    Learnt(Arc<Lane<Learner<C>>>),
    /// What a key's requests are limited by, and what all keys' together teach.
    OfKey(Arc<Estimator>, Arc<Lane<Learner<C>>>),
}

impl<C> Watch<C> {
    pub(crate) fn fixed(limit: Duration) -> Self {
        Self(Kind::Fixed(limit))
    }

    pub(crate) fn learnt(lane: Arc<Lane<Learner<C>>>) -> Self {
        Self(Kind::Learnt(lane))
    }

    pub(crate) fn of_key(estimator: Arc<Estimator>, lane: Arc<Lane<Learner<C>>>) -> Self {
        Self(Kind::OfKey(estimator, lane))
    }

    pub(crate) fn limit(&self) -> Duration {
        match &self.0 {
            Kind::Fixed(limit) => *limit,
            Kind::Learnt(lane) => lane.core.estimator.limit(),
            Kind::OfKey(estimator, _) => estimator.limit(),
        }
    }

    pub(crate) fn is_sample<T>(&self, response: &T) -> bool
    where
        C: Classify<T>,
    {
        match &self.0 {
            Kind::Fixed(_) => false,
            Kind::Learnt(lane) | Kind::OfKey(_, lane) => lane.core.classify.is_sample(response),
        }
    }

    /// What started then is not there yet: it is in flight until one of those below is told of it.
    pub(crate) fn waits(&self, start: Instant) {
        self.teach(
            |learner| learner.nanos(start),
            |estimator, start| {
                estimator.waits(*start);
                None
            },
        );
    }

    /// What began at `start` has ended as it should.
    #[inline]
    pub(crate) fn answered(&self, start: Instant, waited: Option<Instant>) {
        self.end(waited, |estimator, end| {
            estimator.answered(end.age(start), end.nanos)
        });
    }

    /// What waited says nothing, but that it is in flight no more.
    pub(crate) fn left(&self, waited: Instant) {
        self.end(Some(waited), |_, _| None);
    }

    pub(crate) fn timed_out(&self, limit: Duration, waited: Option<Instant>) {
        self.end(waited, |estimator, end| {
            estimator.timed_out(limit, end.nanos)
        });
    }

    pub(crate) fn cancelled(&self, start: Instant, waited: Option<Instant>) {
        self.end(waited, |estimator, end| {
            estimator.cancelled(end.age(start), end.nanos);
            None
        });
    }

    #[inline]
    fn end(
        &self,
        waited: Option<Instant>,
        lesson: impl Fn(&Estimator, &End) -> Option<Transition>,
    ) {
        self.teach(
            |learner| learner.end(waited),
            |estimator, end| {
                if let Some(start) = end.waited {
                    estimator.ended(start, end.nanos);
                }
                lesson(estimator, end)
            },
        );
    }

    /// Reads the clock, in `prepare`, only if there is something to teach.
    #[inline]
    fn teach<T>(
        &self,
        prepare: impl FnOnce(&Learner<C>) -> T,
        lesson: impl Fn(&Estimator, &T) -> Option<Transition>,
    ) {
        let (of_key, lane) = match &self.0 {
            Kind::Fixed(_) => return,
            Kind::Learnt(lane) => (None, lane),
            Kind::OfKey(estimator, lane) => (Some(estimator), lane),
        };
        let prepared = prepare(&lane.core);
        if let Some(estimator) = of_key {
            log(lesson(estimator, &prepared), estimator);
        }
        let shared = &lane.core.estimator;
        log(lesson(shared, &prepared), shared);
    }
}

/// A closure has no `Debug`.
impl<C> fmt::Debug for Watch<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.limit();
        match &self.0 {
            Kind::Fixed(_) => f.debug_tuple("Fixed").field(&limit).finish(),
            Kind::Learnt(_) => f.debug_tuple("Learnt").field(&limit).finish(),
            Kind::OfKey(..) => f.debug_tuple("OfKey").field(&limit).finish(),
        }
    }
}

/// What the requests of a layer teach together.
pub(crate) struct Learner<C> {
    pub(crate) estimator: Estimator,
    settings: Settings,
    classify: C,
    /// What the estimators count time from.
    epoch: Instant,
}

impl<C> Learner<C> {
    pub(crate) fn new(settings: Settings, classify: C) -> Self {
        Self {
            estimator: Estimator::new(settings),
            settings,
            classify,
            epoch: Instant::now(),
        }
    }

    /// For a key that nothing is known of: it begins with the limit that all keys have taught. Not
    /// with their estimate: keys are there because their latencies differ.
    pub(crate) fn cold(&self) -> Estimator {
        Estimator::new(Settings {
            initial: self.estimator.limit(),
            start_from: None,
            ..self.settings
        })
    }

    fn end(&self, waited: Option<Instant>) -> End {
        let now = Instant::now();
        End {
            now,
            nanos: self.nanos(now),
            waited: waited.map(|start| self.nanos(start)),
        }
    }

    fn nanos(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.epoch);
        // Of 64 bits, which last for centuries.
        (since.as_secs().saturating_mul(1_000_000_000)).saturating_add(since.subsec_nanos().into())
    }
}

/// The moment at which something ends.
struct End {
    now: Instant,
    /// Since the epoch, as the next.
    nanos: u64,
    waited: Option<u64>,
}

impl End {
    fn age(&self, start: Instant) -> Duration {
        self.now.saturating_duration_since(start)
    }
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

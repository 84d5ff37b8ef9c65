//! What is told of how requests end.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    Classify,
    chance::random,
    estimator::{Estimator, Settings, Transition},
    lanes::Lane,
};

/// A request's part in what is learnt.
///
/// Where `waited` is asked for, it is the start that [`waits`](Self::waits) was told, if it was.
pub struct Watch<C> {
    kind: Kind<C>,
    /// Whether this is one of the requests that its key's estimator learns from.
    is_measured: bool,
    /// And the shared one.
    is_measured_for_all: bool,
}

enum Kind<C> {
    Fixed(Duration),
    Learnt(Arc<Lane<Learner<C>>>),
    /// What a key's requests are limited by, and what all keys' together teach.
    OfKey(Arc<Estimator>, Arc<Lane<Learner<C>>>),
}

impl<C> Watch<C> {
    pub(crate) fn fixed(limit: Duration) -> Self {
        Self::new(Kind::Fixed(limit))
    }

    pub(crate) fn learnt(lane: Arc<Lane<Learner<C>>>) -> Self {
        Self::new(Kind::Learnt(lane))
    }

    pub(crate) fn of_key(estimator: Arc<Estimator>, lane: Arc<Lane<Learner<C>>>) -> Self {
        Self::new(Kind::OfKey(estimator, lane))
    }

    #[inline]
    fn new(kind: Kind<C>) -> Self {
        Self {
            kind,
            is_measured: true,
            is_measured_for_all: true,
        }
    }

    /// Decides by chance, where there are very many requests, whether one that starts then is learnt
    /// from.
    #[inline(always)]
    pub(crate) fn choose(&mut self, start: Instant) {
        let measures = |estimator: &Estimator, learner: &Learner<C>| {
            estimator.measures(|| learner.nanos(start), random)
        };
        match &self.kind {
            Kind::Fixed(_) => {}
            Kind::Learnt(lane) => {
                self.is_measured_for_all = measures(&lane.core.estimator, &lane.core);
            }
            Kind::OfKey(estimator, lane) => {
                self.is_measured = measures(estimator, &lane.core);
                self.is_measured_for_all = measures(&lane.core.estimator, &lane.core);
            }
        }
    }

    #[inline(always)]
    pub(crate) fn limit(&self) -> Duration {
        match &self.kind {
            Kind::Fixed(limit) => *limit,
            Kind::Learnt(lane) => lane.core.estimator.limit(),
            Kind::OfKey(estimator, _) => estimator.limit(),
        }
    }

    #[inline]
    pub(crate) fn is_sample<T>(&self, response: &T) -> bool
    where
        C: Classify<T>,
    {
        let (Some(lane), true) = (self.lane(), self.is_for_somebody()) else {
            return false;
        };
        lane.core.classify.is_sample(response)
    }

    /// What started then is not there yet: it is in flight until one of those below is told of it.
    #[inline]
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
    #[inline]
    pub(crate) fn left(&self, waited: Instant) {
        self.end(Some(waited), |_, _| None);
    }

    pub(crate) fn timed_out(&self, limit: Duration, waited: Option<Instant>) {
        if let (Kind::OfKey(estimator, _), false) = (&self.kind, self.is_measured) {
            estimator.timed_out_unmeasured();
        }
        if let (Some(lane), false) = (self.lane(), self.is_measured_for_all) {
            lane.core.estimator.timed_out_unmeasured();
        }
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
        let (Some(lane), true) = (self.lane(), self.is_for_somebody()) else {
            return;
        };
        let prepared = prepare(&lane.core);
        if let (Kind::OfKey(estimator, _), true) = (&self.kind, self.is_measured) {
            log(lesson(estimator, &prepared), estimator);
        }
        if self.is_measured_for_all {
            let shared = &lane.core.estimator;
            log(lesson(shared, &prepared), shared);
        }
    }

    /// Whether anybody learns from this request.
    #[inline]
    pub(crate) fn is_for_somebody(&self) -> bool {
        match self.kind {
            Kind::Fixed(_) => false,
            Kind::Learnt(_) => self.is_measured_for_all,
            Kind::OfKey(..) => self.is_measured || self.is_measured_for_all,
        }
    }

    #[inline]
    fn lane(&self) -> Option<&Lane<Learner<C>>> {
        match &self.kind {
            Kind::Fixed(_) => None,
            Kind::Learnt(lane) | Kind::OfKey(_, lane) => Some(lane),
        }
    }
}

/// A closure has no `Debug`.
impl<C> fmt::Debug for Watch<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.limit();
        match &self.kind {
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

    #[inline]
    fn end(&self, waited: Option<Instant>) -> End {
        let now = Instant::now();
        End {
            now,
            nanos: self.nanos(now),
            waited: waited.map(|start| self.nanos(start)),
        }
    }

    #[inline]
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

#[inline]
fn log(transition: Option<Transition>, estimator: &Estimator) {
    if let Some(transition) = transition {
        log_change(transition, estimator);
    }
}

#[cold]
fn log_change(transition: Transition, estimator: &Estimator) {
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

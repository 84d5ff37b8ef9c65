use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    estimator::{Estimator, Settings},
    lanes::Lanes,
    stats::Stats,
    watch::{Learner, Watch},
};

/// Where limits come from. Clones learn together.
pub struct Limiter<C>(Kind<C>);

enum Kind<C> {
    Fixed(Duration),
    Learnt(Arc<Lanes<Learner<C>>>),
}

impl<C> Limiter<C> {
    pub(crate) fn fixed(limit: Duration) -> Self {
        Self(Kind::Fixed(limit))
    }

    pub(crate) fn learnt(settings: Settings, classify: C) -> Self {
        let learner = Learner::new(settings, classify);
        Self(Kind::Learnt(Arc::new(Lanes::new(learner))))
    }

    pub(crate) fn limit(&self) -> Duration {
        match &self.0 {
            Kind::Fixed(limit) => *limit,
            Kind::Learnt(lanes) => lanes.core().estimator.limit(),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        match &self.0 {
            Kind::Fixed(limit) => Stats::fixed(*limit),
            Kind::Learnt(lanes) => Stats::of(&lanes.core().estimator),
        }
    }

    /// For a request.
    #[inline]
    pub(crate) fn watch(&self) -> Watch<C> {
        match &self.0 {
            Kind::Fixed(limit) => Watch::fixed(*limit),
            Kind::Learnt(lanes) => Watch::learnt(Arc::clone(lanes.lane())),
        }
    }

    /// For a request of a key: what `find` finds or makes limits it. A fixed limit is that of all.
    pub(crate) fn watch_key(
        &self,
        find: impl FnOnce(&dyn Fn() -> Estimator) -> Arc<Estimator>,
    ) -> Watch<C> {
        match &self.0 {
            Kind::Fixed(limit) => Watch::fixed(*limit),
            Kind::Learnt(lanes) => {
                let lane = Arc::clone(lanes.lane());
                Watch::of_key(find(&|| lane.core.cold()), lane)
            }
        }
    }
}

impl<C> Clone for Limiter<C> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Kind::Fixed(limit) => Kind::Fixed(*limit),
            Kind::Learnt(lanes) => Kind::Learnt(Arc::clone(lanes)),
        })
    }
}

/// A closure has no `Debug`.
impl<C> fmt::Debug for Limiter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Fixed(limit) => f.debug_tuple("Fixed").field(limit).finish(),
            Kind::Learnt(lanes) => {
                let estimator = &lanes.core().estimator;
                f.debug_tuple("Learnt").field(estimator).finish()
            }
        }
    }
}

pub(crate) fn since(start: Instant) -> Duration {
    Instant::now().saturating_duration_since(start)
}

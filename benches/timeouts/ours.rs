//! The estimators of `tower-timeout-ewma`, told what the layer tells them.

use std::{collections::HashSet, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::{
    estimator::{Estimator, Rule, Settings},
    policy::Policy,
};

pub(super) struct Ours {
    estimator: Estimator,
    /// The starts of those that are not learnt from.
    unmeasured: HashSet<Duration>,
    random: SmallRng,
}

impl Ours {
    pub(super) fn by(rule: Rule) -> Self {
        Self {
            estimator: Estimator::new(Settings {
                rule,
                ..Settings::default()
            }),
            unmeasured: HashSet::new(),
            random: SmallRng::seed_from_u64(1),
        }
    }
}

impl Policy for Ours {
    fn started(&mut self, now: Duration) -> Duration {
        let limit = self.estimator.limit();
        let random = || self.random.random();
        if self.estimator.measures(|| nanos(now), random) {
            self.estimator.waits(nanos(now));
        } else {
            self.unmeasured.insert(now);
        }
        limit
    }

    fn answered(&mut self, start: Duration, now: Duration) {
        if !self.unmeasured.remove(&start) {
            self.estimator.ended(nanos(start), nanos(now));
            self.estimator.answered(now - start, nanos(now));
        }
    }

    fn timed_out(&mut self, start: Duration, now: Duration) {
        if self.unmeasured.remove(&start) {
            self.estimator.timed_out_unmeasured();
            return;
        }
        self.estimator.ended(nanos(start), nanos(now));
        self.estimator.timed_out(now - start, nanos(now));
    }
}

fn nanos(time: Duration) -> u64 {
    time.as_nanos() as u64
}

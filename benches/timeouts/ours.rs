//! The estimators of `tower-timeout-ewma`, told what the layer tells them.

use std::time::Duration;

use super::{
    estimator::{Estimator, Rule, Settings},
    policy::Policy,
};

pub(super) struct Ours(Estimator);

impl Ours {
    pub(super) fn by(rule: Rule) -> Self {
        Self(Estimator::new(Settings {
            rule,
            ..Settings::default()
        }))
    }
}

impl Policy for Ours {
    fn started(&mut self, now: Duration) -> Duration {
        let limit = self.0.limit();
        self.0.waits(nanos(now));
        limit
    }

    fn answered(&mut self, start: Duration, now: Duration) {
        self.0.ended(nanos(start), nanos(now));
        self.0.answered(now - start, nanos(now));
    }

    fn timed_out(&mut self, start: Duration, now: Duration) {
        self.0.ended(nanos(start), nanos(now));
        self.0.timed_out(now - start, nanos(now));
    }
}

fn nanos(time: Duration) -> u64 {
    time.as_nanos() as u64
}

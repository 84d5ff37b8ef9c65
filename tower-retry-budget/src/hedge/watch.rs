//! The clock of a first attempt.

use std::{mem, ops::Deref, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::service::{Common, Shared};
use crate::{lanes::Lane, sync::thread_number};

/// Tells the estimator once how long the first attempt took, or that it was given up.
///
/// Its age begins when it has been polled and has not answered at once. Until then no second
/// attempt could be of use, and no clock is read.
pub(super) struct Watch<S, P, R> {
    lane: Arc<Lane<Shared<S, P, R>>>,
    first: First,
}

/// How far the first attempt is.
#[derive(Clone, Copy, Debug)]
enum First {
    Unpolled,
    /// At so many nanoseconds since the epoch.
    Begun(u64),
    /// It has ended, or its age is of no interest.
    Unwatched,
}

impl<S, P, R> Watch<S, P, R> {
    pub(super) fn new(lane: Arc<Lane<Shared<S, P, R>>>) -> Self {
        Self {
            lane,
            first: First::Unpolled,
        }
    }

    /// Of an attempt whose age is of no interest.
    pub(super) fn blind(lane: Arc<Lane<Shared<S, P, R>>>) -> Self {
        Self {
            lane,
            first: First::Unwatched,
        }
    }

    /// It has not answered at once. Tells when to send a second attempt, as far as is known.
    pub(super) fn begin(&mut self) -> Option<Instant> {
        if !matches!(self.first, First::Unpolled) {
            return None;
        }
        let now = Instant::now();
        let begun = self.nanos(now);
        self.first = First::Begun(begun);
        let delay = self.estimator.delay(begun)?;
        Some(now + delay)
    }

    /// It has succeeded.
    pub(super) fn succeeded(&mut self) {
        match mem::replace(&mut self.first, First::Unwatched) {
            First::Unpolled => {
                let now = || self.nanos(Instant::now());
                self.estimator.answered_at_once(thread_number(), now);
            }
            First::Begun(begun) => {
                let now = self.nanos(Instant::now());
                let lane = thread_number();
                self.estimator.answered(lane, age(begun, now), now);
            }
            First::Unwatched => {}
        }
    }

    /// It has failed. How long that took says nothing about an answer.
    pub(super) fn failed(&mut self) {
        self.first = First::Unwatched;
    }

    /// The second attempt has succeeded before it.
    pub(super) fn superseded(&mut self) {
        if let First::Begun(begun) = mem::replace(&mut self.first, First::Unwatched) {
            let now = self.nanos(Instant::now());
            let lane = thread_number();
            self.estimator.outlived(lane, age(begun, now), now);
        }
    }

    pub(super) fn shared(&self) -> &Shared<S, P, R> {
        &self.lane.core
    }
}

impl<S, P, R> Deref for Watch<S, P, R> {
    type Target = Common<P, R>;

    fn deref(&self) -> &Self::Target {
        &self.lane.core.common
    }
}

/// The caller has given up. That says something only where the attempt was slow: without it, what
/// hangs until the caller's own timeout would not be seen at all.
impl<S, P, R> Drop for Watch<S, P, R> {
    fn drop(&mut self) {
        let First::Begun(begun) = self.first else {
            return;
        };
        let now = self.nanos(Instant::now());
        let age = age(begun, now);
        let delay = self.estimator.delay(now);
        if delay.is_none_or(|delay| age > delay) {
            self.estimator.outlived(thread_number(), age, now);
        }
    }
}

fn age(begun: u64, now: u64) -> Duration {
    Duration::from_nanos(now.saturating_sub(begun))
}

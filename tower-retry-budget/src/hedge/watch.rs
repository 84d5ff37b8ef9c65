//! The clock of a first attempt.

use std::{ops::Deref, sync::Arc};

use tokio::time::Instant;

use super::service::{Common, Shared};
use crate::lanes::Lane;

/// Tells the estimator once how long the first attempt took, or that it was given up.
pub(super) struct Watch<S, P, R> {
    lane: Arc<Lane<Shared<S, P, R>>>,
    /// When the first attempt was sent, until that has been told or is not to be.
    begun: Option<Instant>,
}

impl<S, P, R> Watch<S, P, R> {
    pub(super) fn new(lane: Arc<Lane<Shared<S, P, R>>>, begun: Instant) -> Self {
        Self {
            lane,
            begun: Some(begun),
        }
    }

    /// Of an attempt whose time is of no interest.
    pub(super) fn blind(lane: Arc<Lane<Shared<S, P, R>>>) -> Self {
        Self { lane, begun: None }
    }

    pub(super) fn begun(&self) -> Option<Instant> {
        self.begun
    }

    /// It has succeeded.
    pub(super) fn succeeded(&mut self) {
        if let Some(begun) = self.begun.take() {
            let now = Instant::now();
            let age = now.saturating_duration_since(begun);
            self.common().answered(age, now);
        }
    }

    /// It has failed. How long that took says nothing about an answer.
    pub(super) fn failed(&mut self) {
        self.begun = None;
    }

    /// The second attempt has succeeded before it.
    pub(super) fn superseded(&mut self) {
        if let Some(begun) = self.begun.take() {
            let now = Instant::now();
            let age = now.saturating_duration_since(begun);
            self.common().outlived(age, now);
        }
    }

    pub(super) fn shared(&self) -> &Shared<S, P, R> {
        &self.lane.shared
    }

    fn common(&self) -> &Common<P, R> {
        &self.lane.shared.common
    }
}

impl<S, P, R> Deref for Watch<S, P, R> {
    type Target = Common<P, R>;

    fn deref(&self) -> &Self::Target {
        self.common()
    }
}

/// The caller has given up. That says something only where the attempt was slow: without it, what
/// hangs until the caller's own timeout would not be seen at all.
impl<S, P, R> Drop for Watch<S, P, R> {
    fn drop(&mut self) {
        let Some(begun) = self.begun else { return };
        let now = Instant::now();
        let age = now.saturating_duration_since(begun);
        let delay = self.estimator.delay(self.nanos(now));
        if delay.is_none_or(|delay| age > delay) {
            self.outlived(age, now);
        }
    }
}

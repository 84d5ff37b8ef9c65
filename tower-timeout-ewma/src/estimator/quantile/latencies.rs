//! Requests by how long they took.

use super::{
    buckets::{BUCKETS, EMPTY, Histogram, lower, stretched},
    survival::Survival,
};

/// Weights of requests, by bucket: those that were answered after so long, and those that were given
/// up at that age, which would have taken at least so long.
#[derive(Clone, Debug)]
pub(super) struct Latencies {
    pub(super) answered: Histogram,
    pub(super) censored: Histogram,
}

impl Latencies {
    pub(super) const fn none() -> Self {
        Self {
            answered: EMPTY,
            censored: EMPTY,
        }
    }

    pub(super) fn answers(&self) -> f64 {
        self.answered.iter().sum()
    }

    pub(super) fn weight(&self) -> f64 {
        self.answers() + self.given_up()
    }

    pub(super) fn given_up(&self) -> f64 {
        self.censored.iter().sum()
    }

    pub(super) fn survival(&self) -> Survival {
        Survival::of(&self.answered, &self.censored)
    }

    pub(super) fn add(&mut self, other: &Self) {
        let all = self
            .both()
            .zip(other.answered.iter().chain(&other.censored));
        all.for_each(|(weight, more)| *weight += more);
    }

    pub(super) fn subtract(&mut self, other: &Self) {
        let all = self
            .both()
            .zip(other.answered.iter().chain(&other.censored));
        all.for_each(|(weight, less)| *weight = (*weight - less).max(0.0));
    }

    /// Makes all of them lighter.
    pub(super) fn keep(&mut self, share: f64) {
        self.both().for_each(|weight| *weight *= share);
    }

    /// Makes those that were given up lighter, if they are more than a share of the answers.
    pub(super) fn bound_given_up(&mut self, share: f64) {
        let (most, all) = (share * self.answers(), self.given_up());
        if all > most {
            self.censored
                .iter_mut()
                .for_each(|weight| *weight *= most / all);
        }
    }

    /// All so many times longer.
    pub(super) fn stretched(&self, ratio: f64) -> Self {
        Self {
            answered: stretched(&self.answered, ratio),
            censored: stretched(&self.censored, ratio),
        }
    }

    /// The middle of the ages at which they were given up, in nanoseconds.
    pub(super) fn usually_given_up(&self) -> Option<f64> {
        let all = self.given_up();
        let mut below = 0.0;
        let middle = (0..BUCKETS).find(|&bucket| {
            below += self.censored[bucket];
            2.0 * below > all
        })?;
        Some((lower(middle) + lower(middle + 1)) / 2.0)
    }

    fn both(&mut self) -> impl Iterator<Item = &mut f64> {
        self.answered.iter_mut().chain(&mut self.censored)
    }
}

//! What decides, and what is told.

use std::{fmt, sync::Arc};

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tokio::time::Instant;

use super::{settings::Builder, window::Window};
use crate::{
    error::Held,
    nanos::{nanos, nanos_since},
    sync::{AtomicU64, Ordering::Relaxed},
};

/// Holds requests back while a backend accepts too few of them.
///
/// See the [module](super) for what it does. Clones share what they know: give one to each layer
/// that sends to the same backend.
#[derive(Clone)]
pub struct Throttle {
    shared: Arc<Shared>,
}

impl Throttle {
    /// A throttle with the default settings: twice what is accepted of 3 seconds, and 1 request a
    /// second in any case.
    pub fn new() -> Self {
        Self::from_settings(&Builder::default())
    }

    /// Sets up a throttle.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Asks whether to send a request.
    ///
    /// # Errors
    ///
    /// [`Held`], at random: as often as its probability says. The request then counts as one that
    /// was not accepted.
    pub fn admit(&self) -> Result<Admission, Held> {
        let now = self.shared.now();
        let probability = self.shared.probability(now);
        if probability > 0.0 && self.shared.draw() < probability {
            self.shared.window.held(now);
            self.shared.held.fetch_add(1, Relaxed);
            return Err(Held::new(probability));
        }
        self.shared.window.sent(now);
        Ok(Admission {
            throttle: self.clone(),
            sent: now,
            settled: false,
        })
    }

    /// What the throttle knows and what it has done. The figures are read one after another.
    pub fn stats(&self) -> ThrottleStats {
        let shared = &*self.shared;
        let now = shared.now();
        let counts = shared.window.counts(now);
        ThrottleStats {
            requests: counts.requests,
            accepted: counts.accepted,
            probability: counts.probability(shared.multiplier, shared.floor),
            held: shared.held.load(Relaxed),
        }
    }

    pub(super) fn from_settings(settings: &Builder) -> Self {
        let patience = settings.patience.map(nanos);
        Self {
            shared: Arc::new(Shared {
                window: Window::new(nanos(settings.window), patience),
                multiplier: settings.multiplier,
                floor: settings.min_per_second * settings.window.as_secs_f64(),
                epoch: Instant::now(),
                seed: settings.seed.map(AtomicU64::new),
                held: AtomicU64::new(0),
            }),
        }
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// One request that was let through. It is to be told what became of it.
///
/// Dropped without that, it counts as given up: see [`patience`](Builder::patience).
#[must_use = "a request that is not sent must be dropped at once"]
pub struct Admission {
    throttle: Throttle,
    sent: u64,
    settled: bool,
}

impl Admission {
    /// The backend took the request, whatever came of it.
    pub fn accepted(mut self) {
        self.settled = true;
        let shared = &*self.throttle.shared;
        shared.window.accepted(self.sent, shared.now());
    }

    /// The backend turned the request away, or did not answer in time.
    pub fn refused(mut self) {
        self.settled = true;
        let shared = &*self.throttle.shared;
        shared.window.refused(self.sent, shared.now());
    }

    /// The outcome says nothing about the backend.
    pub fn neutral(mut self) {
        self.settled = true;
        let shared = &*self.throttle.shared;
        shared.window.forget(self.sent);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if !self.settled {
            let shared = &*self.throttle.shared;
            shared.window.given_up(self.sent, shared.now());
        }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").finish_non_exhaustive()
    }
}

/// A snapshot of a [`Throttle`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ThrottleStats {
    /// Requests of the window: answered, held back, or waited for in vain.
    pub requests: u64,
    /// Those of them that the backend accepted.
    pub accepted: u64,
    /// How likely the next request is to be held back, from 0 to 1.
    pub probability: f64,
    /// Requests held back since the throttle was made.
    pub held: u64,
}

#[derive(Debug)]
struct Shared {
    window: Window,
    multiplier: f64,
    floor: f64,
    epoch: Instant,
    /// The next of the seeds, each for one number, in the order in which they are asked for.
    seed: Option<AtomicU64>,
    held: AtomicU64,
}

impl Shared {
    fn probability(&self, now: u64) -> f64 {
        let counts = self.window.counts(now);
        counts.probability(self.multiplier, self.floor)
    }

    /// Uniform from 0 to 1, which is not included.
    fn draw(&self) -> f64 {
        match &self.seed {
            Some(next) => SmallRng::seed_from_u64(next.fetch_add(1, Relaxed)).random(),
            None => rand::random(),
        }
    }

    fn now(&self) -> u64 {
        nanos_since(self.epoch, Instant::now())
    }
}

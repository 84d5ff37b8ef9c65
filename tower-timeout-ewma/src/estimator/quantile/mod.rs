//! A quantile of the latencies x factor.

use std::time::Duration;

use self::{history::History, lanes::Lanes, turn::Turn};
use super::{Estimate, Guard, Pace, Settings, Transition, nanos};
use crate::sync::{AtomicU64, Ordering::Relaxed};

mod buckets;
mod history;
mod lanes;
mod latencies;
mod normal;
mod pending;
mod shift;
mod slots;
mod survival;
mod tail;
mod turn;

/// Learns a limit from how the latencies are distributed.
///
/// Requests only count: each thread in a lane of its own, without a lock. Sixty times a second,
/// one of them carries the counts into the [`History`], and publishes anew. Whoever finds that
/// another is at it does not wait.
///
/// Relaxed ordering is enough: nothing but the published words themselves is passed on.
#[derive(Debug)]
pub(crate) struct Quantile {
    settings: Settings,
    published: Published,
    guard: Guard,
    lanes: Lanes,
    history: Turn<Box<History>>,
}

/// On cache lines of its own: all requests read it, and few write.
#[derive(Debug)]
#[repr(align(128))]
struct Published {
    /// The limit while the guard is calm, in nanoseconds; [`TOO_LONG`] for it if it is longer.
    limit: AtomicU64,
    /// The limit before the guard and `max`: the bits of an `f64`, nanoseconds.
    calm: AtomicU64,
    /// Half of the requests take less. Nanoseconds.
    median: AtomicU64,
    /// When the service last became slower or faster.
    era: AtomicU64,
    pace: Pace,
}

impl Quantile {
    pub(crate) fn new(settings: Settings, quantile: f64, factor: f64) -> Self {
        let mut history = History::new(&settings, quantile, factor);
        if let Some(estimate) = settings.start_from {
            history.start_from(nanos(estimate.typical()), nanos(estimate.limit()));
        }
        Self {
            settings,
            published: Published::of(&history, &settings),
            guard: settings.guard(),
            lanes: Lanes::new(),
            history: Turn::new(Box::new(history)),
        }
    }

    #[inline]
    pub(crate) fn limit(&self) -> Duration {
        let limit = self.published.limit.load(Relaxed);
        match self.guard.is_calm() && limit != TOO_LONG {
            true => Duration::from_nanos(limit),
            false => self.guarded_limit(),
        }
    }

    #[cold]
    fn guarded_limit(&self) -> Duration {
        self.settings.clamp(self.guard.limit(self.calm_limit()))
    }

    pub(crate) fn waits(&self, start: u64) {
        self.lanes.started(start);
        self.refresh_if_due(start);
    }

    pub(crate) fn ended(&self, start: u64, now: u64) {
        self.lanes.ended(start, now);
    }

    #[inline]
    pub(crate) fn answered(&self, latency: Duration, now: u64) -> Option<Transition> {
        if self.is_of_this_era(latency, now) {
            self.lanes.answered(nanos(latency));
        }
        let transition = self.guard.answered(latency, now, || self.calm_limit());
        self.refresh_if_due(now);
        transition
    }

    pub(crate) fn timed_out(&self, limit: Duration, now: u64) -> Option<Transition> {
        if self.is_of_this_era(limit, now) {
            self.lanes.censored(nanos(limit));
        }
        let transition = self.guard.timed_out(limit, now, self.calm_limit());
        self.refresh_if_due(now);
        transition
    }

    pub(crate) fn cancelled(&self, age: Duration, now: u64) {
        // A younger one says nothing, and is often one whose answer another has beaten.
        let is_old = nanos(age) > self.published.median.load(Relaxed);
        if is_old && self.is_of_this_era(age, now) {
            self.lanes.censored(nanos(age));
        }
        self.refresh_if_due(now);
    }

    pub(crate) fn pace(&self) -> &Pace {
        &self.published.pace
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    pub(crate) fn timeouts(&self) -> u64 {
        self.guard.timeouts()
    }

    /// What there is to start from another time.
    pub(crate) fn estimate(&self) -> Option<Estimate> {
        let median = self.published.median.load(Relaxed);
        let limit = Duration::from_nanos(self.calm_limit() as u64);
        (median > 0).then(|| Estimate::new(Duration::from_nanos(median), limit))
    }

    /// Whether a request that ends now started after the last shift: those before are of a service
    /// that is no more.
    #[inline]
    fn is_of_this_era(&self, age: Duration, now: u64) -> bool {
        now.saturating_sub(nanos(age)) >= self.published.era.load(Relaxed)
    }

    pub(crate) fn samples(&self) -> u64 {
        self.lanes.all_answered()
    }

    pub(crate) fn relaxing(&self) -> bool {
        self.guard.is_up()
    }

    fn calm_limit(&self) -> f64 {
        f64::from_bits(self.published.calm.load(Relaxed))
    }

    #[inline]
    fn refresh_if_due(&self, now: u64) {
        if self.history.is_due(now) {
            self.refresh(now);
        }
    }

    #[cold]
    fn refresh(&self, now: u64) {
        if let Some(mut history) = self.history.take_if_due(now, TICK) {
            let (measured, passed) = history.carry(&self.lanes.counts(), now);
            self.published.pace.adapt(measured, passed, now);
            // Under the lock, so that the words do not go back.
            self.published.publish(&history, &self.settings);
        }
    }
}

impl Published {
    fn of(history: &History, settings: &Settings) -> Self {
        let published = Self {
            limit: AtomicU64::new(0),
            calm: AtomicU64::new(0),
            median: AtomicU64::new(0),
            era: AtomicU64::new(0),
            pace: Pace::new(settings.samples_per_second),
        };
        published.publish(history, settings);
        published
    }

    fn publish(&self, history: &History, settings: &Settings) {
        let calm = history.limit().max(settings.min.as_nanos() as f64);
        let limit = settings.clamp(calm).as_nanos();
        let limit = u64::try_from(limit).unwrap_or(TOO_LONG);
        self.limit.store(limit, Relaxed);
        self.calm.store(calm.to_bits(), Relaxed);
        self.median.store(history.median() as u64, Relaxed);
        self.era.store(history.era(), Relaxed);
    }
}

const TOO_LONG: u64 = u64::MAX;
/// As long as a slot of starts: 17 ms.
const TICK: u64 = 1 << slots::SLOT_BITS;

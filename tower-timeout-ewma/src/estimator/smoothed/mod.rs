//! Smoothed latency + k x deviation.

use std::time::Duration;

use self::pair::Pair;
use super::{Estimate, Guard, Pace, Settings, Transition, nanos};
use crate::sync::{AtomicU64, Ordering};

mod pair;

/// Learns a limit from a smoothed latency and a smoothed deviation from it: TCP's estimate (RFC
/// 6298). Two things differ, because requests are not round trips:
///
/// - The deviation is one-sided and falls slowly. Only answers slower than the smoothed latency
///   have one, so that a faster answer can never make the limit longer; and it rises by 1/4 but
///   falls by 1/128, because many answers arrive per latency and a limit that forgets the tail
///   within a dozen of fast ones ends good requests.
/// - A request that ended without an answer is a censored sample, known only to take *at least*
///   so long. It can raise the estimate a little, never lower it.
#[derive(Debug)]
pub(crate) struct Smoothed {
    settings: Settings,
    deviations: f64,
    guard: Guard,
    pace: Pace,
    /// The limit while the guard is calm, in nanoseconds; [`TOO_LONG`] for it if it is longer.
    published: AtomicU64,
    learnt: Learnt,
}

/// On cache lines of its own: measured answers write it, and all requests read what is beside it.
#[derive(Debug)]
#[repr(align(128))]
struct Learnt {
    /// A [`Pair`], packed: both halves change together or not at all.
    pair: AtomicU64,
    samples: AtomicU64,
    /// When the pace was adapted last, and how many samples there were.
    adapted: AtomicU64,
    samples_adapted: AtomicU64,
}

impl Smoothed {
    pub(crate) fn new(settings: Settings, deviations: f64) -> Self {
        let before = settings.start_from.map(|estimate| {
            let smoothed = nanos(estimate.typical()) as f64;
            let margin = (nanos(estimate.limit()) as f64 - smoothed).max(0.0);
            Pair {
                smoothed: smoothed as f32,
                deviation: (margin / deviations) as f32,
            }
        });
        let smoothed = Self {
            settings,
            deviations,
            guard: settings.guard(),
            pace: Pace::new(settings.samples_per_second),
            published: AtomicU64::new(0),
            learnt: Learnt {
                pair: AtomicU64::new(before.map_or(Pair::NONE, Pair::pack)),
                samples: AtomicU64::new(0),
                adapted: AtomicU64::new(0),
                samples_adapted: AtomicU64::new(0),
            },
        };
        smoothed.publish();
        smoothed
    }

    /// The limit for a request that starts now.
    #[inline]
    pub(crate) fn limit(&self) -> Duration {
        let limit = self.published.load(Ordering::Relaxed);
        match self.guard.is_calm() && limit != TOO_LONG {
            true => Duration::from_nanos(limit),
            false => self.guarded_limit(),
        }
    }

    #[cold]
    fn guarded_limit(&self) -> Duration {
        self.settings.clamp(self.guard.limit(self.calm_limit()))
    }

    /// An answer came. Returns whether this changed the mode.
    pub(crate) fn answered(&self, latency: Duration, now: u64) -> Option<Transition> {
        let transition = self.guard.answered(latency, now, || self.calm_limit());
        let relaxing = self.guard.is_up();
        let latency = nanos(latency) as f32;
        let before = self.learnt.samples.fetch_add(1, Ordering::Relaxed);
        self.update(|estimate| match estimate {
            None => Pair::first(latency),
            Some(old) if relaxing => old.answered(latency).at_least(old),
            Some(old) => old.answered(latency),
        });
        if before % PACED == PACED - 1 || self.pace.has_lapsed(now) {
            self.adapt(before + 1, now);
        }
        transition
    }

    /// No answer came within the limit of the request. Returns whether this changed the mode.
    pub(crate) fn timed_out(&self, limit: Duration, now: u64) -> Option<Transition> {
        let calm = self.calm_limit();
        let is_stale = self.guard.is_stale(limit, calm);
        let transition = self.guard.timed_out(limit, now, calm);
        if !is_stale {
            self.censored(limit);
        }
        transition
    }

    /// No answer came until the caller gave up after `age`.
    pub(crate) fn cancelled(&self, age: Duration) {
        self.censored(age);
    }

    /// The smoothed latency, and the smoothed deviation from it.
    pub(crate) fn known(&self) -> Option<(Duration, Duration)> {
        let pair = self.pair()?;
        let duration = |nanos: f32| Duration::from_nanos(nanos as u64);
        Some((duration(pair.smoothed), duration(pair.deviation)))
    }

    /// What there is to start from another time.
    pub(crate) fn estimate(&self) -> Option<Estimate> {
        let (smoothed, _) = self.known()?;
        let limit = Duration::from_nanos(self.learnt_limit()? as u64);
        Some(Estimate::new(smoothed, limit))
    }

    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    pub(crate) fn timeouts(&self) -> u64 {
        self.guard.timeouts()
    }

    pub(crate) fn samples(&self) -> u64 {
        self.learnt.samples.load(Ordering::Relaxed)
    }

    /// Whether so many requests timed out that the estimate may only grow.
    pub(crate) fn relaxing(&self) -> bool {
        self.guard.is_up()
    }

    /// The limit before the factor for timeouts, in nanoseconds: at least `min`, or the first
    /// doublings would be spent below it.
    fn calm_limit(&self) -> f64 {
        let min = self.settings.min.as_nanos() as f64;
        match self.learnt_limit() {
            Some(limit) => limit.max(min),
            None => self.settings.initial.as_nanos() as f64,
        }
    }

    /// Of several threads whoever is last sees what the others wrote: it swaps, and looks again.
    fn publish(&self) {
        let pair = || self.learnt.pair.load(Ordering::Acquire);
        let mut published = None;
        while published != Some(pair()) {
            published = Some(pair());
            let limit = self.settings.clamp(self.calm_limit()).as_nanos();
            let limit = u64::try_from(limit).unwrap_or(TOO_LONG);
            self.published.swap(limit, Ordering::AcqRel);
        }
    }

    fn learnt_limit(&self) -> Option<f64> {
        let pair = self.pair()?;
        let is_learnt = self.settings.start_from.is_some()
            || self.samples() >= self.settings.min_samples.into();
        let margin = self.deviations * f64::from(pair.deviation);
        let limit = f64::from(pair.smoothed) + margin.max(GRANULARITY);
        is_learnt.then_some(limit)
    }

    fn censored(&self, age: Duration) {
        // The factor is in charge: hung requests must not leave a trace beside it.
        if self.guard.is_up() {
            return;
        }
        let at_least = nanos(age.min(self.limit())) as f32;
        self.update(|estimate| match estimate {
            None => Pair::first(at_least),
            Some(old) => old.censored(at_least),
        });
    }

    /// Now and then.
    fn adapt(&self, samples: u64, now: u64) {
        let last = self.learnt.adapted.load(Ordering::Relaxed);
        let passed = now.saturating_sub(last);
        // A burst is no rate. Of several threads one is at it, and what it does not see the next will.
        let is_taken = passed < TICK
            || self
                .learnt
                .adapted
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_err();
        if !is_taken {
            let before = self.learnt.samples_adapted.swap(samples, Ordering::Relaxed);
            let measured = samples.saturating_sub(before);
            self.pace.adapt(measured as f64, passed, now);
        }
    }

    fn pair(&self) -> Option<Pair> {
        Pair::unpack(self.learnt.pair.load(Ordering::Relaxed))
    }

    fn update(&self, change: impl Fn(Option<Pair>) -> Pair) {
        let pair = &self.learnt.pair;
        let mut old = pair.load(Ordering::Relaxed);
        loop {
            let new = change(Pair::unpack(old)).pack();
            match pair.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break,
                Err(current) => old = current,
            }
        }
        self.publish();
    }
}

const TOO_LONG: u64 = u64::MAX;
/// Answers after which it is time to see whether the pace is to be adapted.
const PACED: u64 = 64;
/// 17 ms.
const TICK: u64 = 1 << 24;
/// The clock granularity `G` of RFC 6298: tokio's timers tick in milliseconds.
const GRANULARITY: f64 = 1e6;

//! Smoothed latency + k x deviation.

use std::time::Duration;

use self::pair::Pair;
use super::{Estimate, Guard, Settings, Transition, nanos};
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
    /// A [`Pair`], packed: both halves change together or not at all.
    pair: AtomicU64,
    samples: AtomicU64,
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
        Self {
            settings,
            deviations,
            guard: settings.guard(),
            pair: AtomicU64::new(before.map_or(Pair::NONE, Pair::pack)),
            samples: AtomicU64::new(0),
        }
    }

    /// The limit for a request that starts now.
    pub(crate) fn limit(&self) -> Duration {
        self.settings.clamp(self.guard.limit(self.calm_limit()))
    }

    /// An answer came. Returns whether this changed the mode.
    pub(crate) fn answered(&self, latency: Duration, now: u64) -> Option<Transition> {
        let transition = self.guard.answered(latency, now, || self.calm_limit());
        let relaxing = self.guard.is_up();
        let latency = nanos(latency) as f32;
        self.update(|estimate| match estimate {
            None => Pair::first(latency),
            Some(old) if relaxing => old.answered(latency).at_least(old),
            Some(old) => old.answered(latency),
        });
        self.samples.fetch_add(1, Ordering::Relaxed);
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

    pub(crate) fn timeouts(&self) -> u64 {
        self.guard.timeouts()
    }

    pub(crate) fn samples(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }

    /// Whether so many requests timed out that the estimate may only grow.
    pub(crate) fn relaxing(&self) -> bool {
        self.guard.is_up()
    }

    /// The limit before the factor for timeouts, in nanoseconds: at least `min`, or the first
    /// doublings would be spent below it.
    fn calm_limit(&self) -> f64 {
        let initial = self.settings.initial.as_nanos() as f64;
        let limit = self.learnt_limit().unwrap_or(initial);
        limit.max(self.settings.min.as_nanos() as f64)
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

    fn pair(&self) -> Option<Pair> {
        Pair::unpack(self.pair.load(Ordering::Relaxed))
    }

    fn update(&self, change: impl Fn(Option<Pair>) -> Pair) {
        let mut old = self.pair.load(Ordering::Relaxed);
        loop {
            let new = change(Pair::unpack(old)).pack();
            match self
                .pair
                .compare_exchange_weak(old, new, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(current) => old = current,
            }
        }
    }
}

/// The clock granularity `G` of RFC 6298: tokio's timers tick in milliseconds.
const GRANULARITY: f64 = 1e6;

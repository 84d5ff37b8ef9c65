//! One service under an open stream of requests, in virtual time, with a fixed seed.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::estimator::{Rule, Settings, Smoothed};

/// What decides how long a request may take.
pub(crate) trait Limit {
    fn limit(&self) -> Duration;
    fn answered(&mut self, latency: Duration, now: u64);
    fn timed_out(&mut self, limit: Duration, now: u64);
}

pub(crate) struct Ours(Smoothed);

impl Ours {
    pub(crate) fn new() -> Self {
        Self(smoothed())
    }
}

impl Limit for Ours {
    fn limit(&self) -> Duration {
        self.0.limit()
    }

    fn answered(&mut self, latency: Duration, now: u64) {
        self.0.answered(latency, now);
    }

    fn timed_out(&mut self, limit: Duration, now: u64) {
        self.0.timed_out(limit, now);
    }
}

pub(crate) fn smoothed() -> Smoothed {
    let rule = Rule::Deviations(4.0);
    let settings = Settings {
        rule,
        ..Settings::default()
    };
    Smoothed::new(settings, 4.0)
}

#[derive(Clone, Copy)]
pub(crate) enum Latency {
    /// The logarithm is normal: median in milliseconds and sigma.
    LogNormal(f64, f64),
    /// 1 ms, and 50 ms for one in ten, both with a sigma of 0.1.
    CacheWithMisses,
}

/// A stretch of time with one behaviour.
#[derive(Clone, Copy)]
pub(crate) struct Phase {
    pub(crate) seconds: u32,
    /// Latencies are this many times longer.
    pub(crate) slower: f64,
    /// The share of requests that are never answered.
    pub(crate) hung: f64,
}

pub(crate) const fn calm(seconds: u32) -> Phase {
    slow(seconds, 1.0)
}

pub(crate) const fn slow(seconds: u32, slower: f64) -> Phase {
    Phase {
        seconds,
        slower,
        hung: 0.0,
    }
}

pub(crate) const fn hanging(seconds: u32, hung: f64) -> Phase {
    Phase {
        seconds,
        slower: 1.0,
        hung,
    }
}

/// What was seen in each second of a phase.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    seconds: Vec<Second>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    answerable: u32,
    false_timeouts: u32,
    limit_ms: f64,
}

impl Observed {
    /// Per cent of the requests that would have been answered, but were ended by the limit.
    pub(crate) fn false_timeouts(&self, seconds: std::ops::Range<usize>) -> f64 {
        let seconds = &self.seconds[seconds];
        let ended: u32 = seconds.iter().map(|second| second.false_timeouts).sum();
        let all: u32 = seconds.iter().map(|second| second.answerable).sum();
        100.0 * f64::from(ended) / f64::from(all)
    }

    /// The mean of the limits that were in force at the ends of seconds, in milliseconds.
    pub(crate) fn limit(&self, seconds: std::ops::Range<usize>) -> f64 {
        let seconds = &self.seconds[seconds];
        seconds.iter().map(|second| second.limit_ms).sum::<f64>() / seconds.len() as f64
    }

    /// The seconds until the limit is first within `factor` of `of`; infinite if it never is.
    pub(crate) fn limit_is_back(&self, factor: f64, of: f64) -> f64 {
        self.seconds
            .iter()
            .position(|second| second.limit_ms <= of * factor)
            .map_or(f64::INFINITY, |second| second as f64 + 1.0)
    }

    /// The seconds until the last one in which more than one in ten was ended falsely.
    pub(crate) fn settled(&self) -> f64 {
        self.seconds
            .iter()
            .rposition(|second| second.false_timeouts * 10 > second.answerable)
            .map_or(0.0, |second| second as f64 + 1.0)
    }
}

pub(crate) fn run(
    limiter: &mut impl Limit,
    latency: Latency,
    per_second: f64,
    phases: &[Phase],
    seed: u64,
) -> Vec<Observed> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut in_flight: BinaryHeap<Reverse<(Duration, Duration, bool)>> = BinaryHeap::new();
    let mut now = Duration::ZERO;
    let mut phase_start = Duration::ZERO;
    let mut observed = Vec::new();

    for phase in phases {
        let phase_end = phase_start + Duration::from_secs(phase.seconds.into());
        let mut seconds = vec![Second::default(); phase.seconds as usize];
        seconds[0].limit_ms = limiter.limit().as_secs_f64() * 1e3;
        loop {
            now += Duration::from_secs_f64(-(1.0 - random.random::<f64>()).ln() / per_second);
            if now >= phase_end {
                break;
            }
            while let Some(&Reverse((end, took, answered))) = in_flight.peek()
                && end <= now
            {
                in_flight.pop();
                let end = end.as_nanos() as u64;
                if answered {
                    limiter.answered(took, end);
                } else {
                    limiter.timed_out(took, end);
                }
            }

            let limit = limiter.limit();
            let takes = latency.sample(&mut random).mul_f64(phase.slower);
            let hung = random.random::<f64>() < phase.hung;
            let answered = !hung && takes <= limit;
            let took = if answered { takes } else { limit };
            in_flight.push(Reverse((now + took, took, answered)));

            let second = &mut seconds[(now - phase_start).as_secs() as usize];
            second.limit_ms = limit.as_secs_f64() * 1e3;
            second.answerable += u32::from(!hung);
            second.false_timeouts += u32::from(!hung && !answered);
        }
        let mut last = 0.0;
        for second in &mut seconds {
            // A second without a request: the limit is what it was.
            if second.limit_ms == 0.0 {
                second.limit_ms = last;
            }
            last = second.limit_ms;
        }
        observed.push(Observed { seconds });
        (now, phase_start) = (phase_end, phase_end);
    }
    observed
}

impl Latency {
    fn sample(self, random: &mut StdRng) -> Duration {
        let (median, sigma) = match self {
            Self::LogNormal(median, sigma) => (median, sigma),
            Self::CacheWithMisses if random.random::<f64>() < 0.1 => (50.0, 0.1),
            Self::CacheWithMisses => (1.0, 0.1),
        };
        // Box and Muller.
        let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * random.random::<f64>()).cos();
        Duration::from_secs_f64(median * (sigma * normal).exp() / 1e3)
    }
}

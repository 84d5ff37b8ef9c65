//! What a service does, and what is asked of it.

use std::time::Duration;

use rand::{RngExt as _, rngs::SmallRng};

use super::policy::PolicyKind;

/// A service under Poisson load, phase after phase.
#[derive(Clone, Copy)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) latency: Latency,
    /// Requests a second.
    pub(super) rate: f64,
    pub(super) phases: &'static [Phase],
    /// Seconds at the beginning that are not measured.
    pub(super) warm_up: f64,
    /// Which phase is bad, and what makes it so.
    pub(super) trouble: Trouble,
    /// Seconds after a change until a limit should have settled.
    pub(super) settles: f64,
    /// A limit of so many times the true p99.9 is back.
    pub(super) back: f64,
    /// Where there are few requests: how many runs are one, of which the mean is taken.
    pub(super) repeats: u64,
    /// Who runs in it, unless the command line says so.
    pub(super) compares: &'static [PolicyKind],
}

/// Of the second phase, always: the first is calm, as is the third if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Slower,
    Hangs,
    Outage,
    /// More requests.
    Load,
    /// Another kind in each phase.
    Day,
}

/// A stretch of time with one behaviour.
#[derive(Clone, Copy)]
pub(super) struct Phase {
    pub(super) seconds: f64,
    /// Requests are so many times more.
    pub(super) load: f64,
    /// Latencies are so many times longer.
    pub(super) slower: f64,
    /// The share of the requests that are never answered.
    pub(super) hung: f64,
}

#[derive(Clone, Copy)]
pub(super) enum Latency {
    /// The logarithm is normal: the median in milliseconds, and the deviation.
    LogNormal(f64, f64),
    /// 1 ms, and 50 ms for one in ten, both with a deviation of 0.1.
    CacheWithMisses,
}

impl Latency {
    /// In seconds.
    pub(super) fn draw(self, random: &mut SmallRng) -> f64 {
        let (median, deviation) = match self {
            Self::LogNormal(median, deviation) => (median, deviation),
            Self::CacheWithMisses if random.random::<f64>() < MISSES => (50.0, 0.1),
            Self::CacheWithMisses => (1.0, 0.1),
        };
        median * (deviation * normal(random)).exp() / 1e3
    }

    /// What one in a thousand takes longer than. Seconds.
    pub(super) fn p999(self) -> f64 {
        let (median, deviation, deviations) = match self {
            Self::LogNormal(median, deviation) => (median, deviation, 3.0902),
            // One in a hundred of the misses.
            Self::CacheWithMisses => (50.0, 0.1, 2.3263),
        };
        median * f64::exp(deviation * deviations) / 1e3
    }
}

impl Phase {
    pub(super) fn p999(&self, latency: Latency) -> Duration {
        Duration::from_secs_f64(latency.p999() * self.slower)
    }
}

pub(super) fn exponential(mean: f64, random: &mut SmallRng) -> f64 {
    // From 0 to 1, without 1.
    let uniform: f64 = random.random();
    -mean * (1.0 - uniform).ln()
}

/// By Box and Muller.
fn normal(random: &mut SmallRng) -> f64 {
    let radius = (2.0 * exponential(1.0, random)).sqrt();
    let angle: f64 = random.random();
    radius * (std::f64::consts::TAU * angle).cos()
}

const MISSES: f64 = 0.1;

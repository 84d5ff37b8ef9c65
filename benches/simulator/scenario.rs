//! What a scenario is: servers, load, and a plan of what goes wrong when.

use rand::{RngExt as _, rngs::SmallRng};

use super::{
    event::{Nanos, seconds},
    server::{Expired, Mode},
};

/// One situation to be balanced in. Times are seconds.
#[derive(Clone, Copy)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) servers: usize,
    /// Requests that a server works on at a time.
    pub(super) workers: usize,
    pub(super) expired: Expired,
    pub(super) service: Service,
    /// Requests per second of all clients together.
    pub(super) rate: f64,
    pub(super) duration: f64,
    /// Requests before it are not measured.
    pub(super) warm_up: f64,
    pub(super) clients: usize,
    /// How long a client waits before it cancels a request.
    pub(super) timeout: Option<f64>,
    /// How long an answer may take to be of use. A later one is an error to its client, but what
    /// is in flight stays in flight.
    pub(super) late: Option<f64>,
    /// The share of requests that fails wherever it goes.
    pub(super) errors: f64,
    /// Whether the luck of a request is drawn anew when it is sent again.
    pub(super) new_luck: bool,
    /// How late timers may be, those of the policies themselves.
    pub(super) tick: f64,
    pub(super) plan: fn(&mut SmallRng) -> Vec<Condition>,
    pub(super) watch: Option<Watch>,
}

/// The time that a request takes of a worker, at speed one.
#[derive(Clone, Copy)]
pub(super) enum Service {
    /// Milliseconds in the mean.
    Exponential(f64),
    /// Milliseconds, always.
    Constant(f64),
    /// Milliseconds in the median, and the deviation of the logarithm.
    LogNormal(f64, f64),
}

/// A line of a plan.
#[derive(Clone, Copy)]
pub(super) struct Condition {
    pub(super) at: Nanos,
    pub(super) server: usize,
    pub(super) change: Change,
}

/// What becomes of a server.
#[derive(Clone, Copy)]
pub(super) enum Change {
    /// It works this many times as fast as at first, also on what it has begun.
    Speed(f64),
    /// What it begins from now on takes this many times as long.
    Longer(f64),
    /// It stops, or goes on.
    Stalled(bool),
    Mode(Mode),
    /// Discovery finds it; before, no client knows of it.
    Joins,
}

/// The server to look at, and while it is bad. Seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    pub(super) server: usize,
    pub(super) from: f64,
    pub(super) until: f64,
    /// Whether that is when it comes, and the first requests to it are what matters.
    pub(super) joins: bool,
}

impl Service {
    /// Nanoseconds of work.
    pub(super) fn draw(self, random: &mut SmallRng) -> f64 {
        let millis = match self {
            Self::Exponential(mean) => exponential(mean, random),
            Self::Constant(millis) => millis,
            Self::LogNormal(median, deviation) => median * (deviation * normal(random)).exp(),
        };
        millis * 1e6
    }
}

impl Condition {
    pub(super) fn new(at: f64, server: usize, change: Change) -> Self {
        let at = seconds(at);
        Self { at, server, change }
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

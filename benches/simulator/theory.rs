//! What queueing theory says, which the simulator must say too before it may judge.
//!
//! Many servers of one worker, exponential service of mean 1, load λ, and each request to the
//! shortest of `d` random queues: a request takes `Σ λ^((dⁱ-d)/(d-1))` in the mean, which is
//! `1/(1-λ)` for one choice. M. Mitzenmacher, *The Power of Two Choices in Randomized Load
//! Balancing*, IEEE Transactions on Parallel and Distributed Systems 12(10), 2001.

use std::fmt;

use benches::simulation::{self, Compared as _, Policy as _, on_threads};

use super::{
    policy::PolicyKind,
    scenario::{Scenario, Service},
    scenarios, world,
};

/// Compares all cases, the longest first.
pub(super) fn compare_all(threads: usize) -> Vec<Compared> {
    let cases: Vec<&Case> = SLOW.iter().chain(QUICK).collect();
    on_threads(&cases, threads, |case| case.compare(SEED))
}

/// A load for which theory has a number.
pub(super) struct Case {
    policy: PolicyKind,
    load: f64,
    servers: usize,
    /// In service times: how long is simulated, and from when on is measured.
    duration: f64,
    warm_up: f64,
    /// As a share of theory's number.
    tolerance: f64,
}

/// What theory says, and what came out.
pub(super) struct Compared {
    case: &'static Case,
    expected: f64,
    measured: f64,
}

impl Case {
    pub(super) fn compare(&'static self, seed: u64) -> Compared {
        let milli = 1e-3;
        let scenario = Scenario {
            name: "theory",
            servers: self.servers,
            service: Service::Exponential(1.0),
            rate: self.servers as f64 * self.load / milli,
            duration: self.duration * milli,
            warm_up: self.warm_up * milli,
            ..scenarios::BASE
        };
        Compared {
            case: self,
            expected: self.expected(),
            measured: world::run(&scenario, self.policy, seed).mean,
        }
    }

    fn expected(&self) -> f64 {
        let choices = self.choices();
        let mut exponent = 0.0;
        let mut sum = 0.0;
        loop {
            let term = self.load.powf(exponent);
            sum += term;
            if term < NEGLIGIBLE {
                return sum;
            }
            // (d^(i+1) - d) / (d - 1) = d (d^i - d) / (d - 1) + d
            exponent = choices * exponent + choices;
            if choices == 1.0 {
                return 1.0 / (1.0 - self.load);
            }
        }
    }

    fn choices(&self) -> f64 {
        if self.policy == PolicyKind::Random {
            1.0
        } else {
            2.0
        }
    }
}

impl simulation::Compared for Compared {
    fn holds(&self) -> bool {
        (self.measured / self.expected - 1.0).abs() <= self.case.tolerance
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            case,
            expected,
            measured,
        } = self;
        let (policy, load) = (case.policy.about(), case.load);
        let off = 100.0 * (measured / expected - 1.0);
        let verdict = if self.holds() { "holds" } else { "OFF" };
        write!(
            f,
            "| {policy} | {load} | {expected:.2} | {measured:.2} | {off:+.1} % | {verdict} |"
        )
    }
}

/// The heading of the lines that a `Compared` is.
pub(super) const HEADING: &str = "\
| theory check | load | mean time by theory | simulated | off by | |
| --- | ---: | ---: | ---: | ---: | --- |";

/// A second's work.
pub(super) const QUICK: &[Case] = &[
    Case {
        policy: PolicyKind::Random,
        load: 0.9,
        servers: 300,
        duration: 5_000.0,
        warm_up: 1_000.0,
        tolerance: 0.05,
    },
    Case {
        policy: PolicyKind::TwoChoices,
        load: 0.9,
        servers: 500,
        duration: 1_200.0,
        warm_up: 300.0,
        tolerance: 0.03,
    },
];

/// Near saturation everything takes long, also to settle.
const SLOW: &[Case] = &[
    Case {
        policy: PolicyKind::Random,
        load: 0.99,
        servers: 200,
        duration: 150_000.0,
        warm_up: 40_000.0,
        tolerance: 0.10,
    },
    Case {
        policy: PolicyKind::TwoChoices,
        load: 0.99,
        servers: 1_000,
        duration: 5_000.0,
        warm_up: 2_000.0,
        tolerance: 0.04,
    },
];

pub(super) const SEED: u64 = 1;
const NEGLIGIBLE: f64 = 1e-12;

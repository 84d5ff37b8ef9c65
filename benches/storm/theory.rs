//! What arithmetic says about a brownout, which the simulator must say too before it may judge.
//!
//! A queue without end grows by what comes less what is done. Without retries it is well again
//! once the queue is no longer than a second's work: `(surplus - capacity × 1 s) / spare`. Where
//! each request makes four attempts as long as the queue is longer than that, four times the load
//! comes, more than can ever be done; where 40 clients have ten retries a second each for nothing,
//! 400 come to a server with 200 to spare.

use std::fmt;

use benches::simulation::{self, Compared as _, Policy as _, on_threads};

use super::{
    policy::{ATTEMPT_TIMEOUT, PolicyKind},
    scenario::Scenario,
    scenarios::{BROWN, BROWNOUT, BROWNOUT_90, SLOW},
    world,
};

/// Compares all cases.
pub(super) fn compare_all(threads: usize, seeds: u64) -> Vec<Compared> {
    let cases: Vec<&Case> = ALL.iter().collect();
    on_threads(&cases, threads, |case| case.compare(seeds))
}

/// What theory says, and what came out. Seconds, infinite for never.
pub(super) struct Compared {
    case: &'static Case,
    expected: f64,
    measured: f64,
    seeds: u64,
}

/// A policy of which is known when it is well again.
struct Case {
    policy: PolicyKind,
    scenario: Scenario,
    recovers: bool,
}

impl Case {
    fn compare(&'static self, seeds: u64) -> Compared {
        let recoveries = (1..=seeds).map(|seed| {
            let figures = world::run(&self.scenario, self.policy, seed);
            figures.recovery.unwrap_or(f64::NAN)
        });
        Compared {
            case: self,
            expected: self.expected(),
            measured: recoveries.sum::<f64>() / seeds as f64,
            seeds,
        }
    }

    fn expected(&self) -> f64 {
        if !self.recovers {
            return f64::INFINITY;
        }
        let rate = self.scenario.rate;
        let surplus = (rate - SLOW * CAPACITY) * (BROWN.until - BROWN.from);
        let in_time = CAPACITY * ATTEMPT_TIMEOUT.as_secs_f64();
        (surplus - in_time) / (CAPACITY - rate)
    }
}

impl simulation::Compared for Compared {
    /// Within what chance does to a queue: three deviations of a mean, of the number of requests
    /// that come and of those that can be done until then.
    fn holds(&self) -> bool {
        if self.expected.is_infinite() {
            return self.measured == self.expected;
        }
        let rate = self.case.scenario.rate;
        let time = BROWN.until - BROWN.from + self.expected;
        let deviation = (2.0 * rate * time / self.seeds as f64).sqrt() / (CAPACITY - rate);
        (self.measured - self.expected).abs() <= 3.0 * deviation
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scenario { rate, clients, .. } = self.case.scenario;
        write!(
            f,
            "| {} | {} | {clients} | {} | {} | {} |",
            self.case.policy.about(),
            rate / CAPACITY,
            Time(self.expected),
            Time(self.measured),
            if self.holds() { "holds" } else { "OFF" },
        )
    }
}

struct Time(f64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_finite() {
            write!(f, "{:.1} s", self.0)
        } else {
            f.write_str("never")
        }
    }
}

/// The heading of the lines that a `Compared` is.
pub(super) const HEADING: &str = "\
| check | load | clients | well again by theory | simulated | |
| --- | ---: | ---: | ---: | ---: | --- |";

const ALL: &[Case] = &[
    case(PolicyKind::None, BROWNOUT, 1, true),
    case(PolicyKind::None, BROWNOUT, 40, true),
    case(PolicyKind::None, BROWNOUT_90, 1, true),
    case(PolicyKind::Naive, BROWNOUT, 1, false),
    case(PolicyKind::Tower, BROWNOUT, 40, false),
];

const fn case(policy: PolicyKind, scenario: Scenario, clients: usize, recovers: bool) -> Case {
    Case {
        policy,
        scenario: Scenario {
            clients,
            ..scenario
        },
        recovers,
    }
}

/// Enough to be sure of a mean.
pub(super) const SEEDS: u64 = 5;
/// Requests a second of the one server.
const CAPACITY: f64 = 1_000.0;

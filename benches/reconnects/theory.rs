//! What arithmetic says about 10,000 clients of a server that is away for a minute, which the
//! simulator must say too before it may judge.
//!
//! Delays that double make a client dial once in each doubling of the time, whatever their jitter.
//! Where delays have come to their maximum and stay between `d` and `7d/8`, a client dials each
//! `15d/16` in the mean; and if all are evenly spread over that, the time to the next dial is more
//! than `x` for `(d - x)² / 2 ÷ (d/8 × 15d/16)` of them, from `7d/8` on.

use std::fmt;

use benches::simulation::{self, Compared as _, Figure as _, Policy as _, on_threads};

use super::{
    figure::Figure,
    policy::PolicyKind::{self, Full, Linkerd, Ours},
    scenario::Scenario,
    scenarios, world,
};

/// Compares all cases.
pub(super) fn compare_all(threads: usize) -> Vec<Compared> {
    let cases: Vec<&Case> = ALL.iter().collect();
    on_threads(&cases, threads, |case| case.compare())
}

/// What theory says, and what came out.
pub(super) struct Compared {
    case: &'static Case,
    measured: f64,
}

struct Case {
    policy: PolicyKind,
    measure: Measure,
    expected: f64,
}

enum Measure {
    /// From one second to another.
    Dials(usize, usize),
    P99,
}

impl Case {
    fn compare(&'static self) -> Compared {
        let figures = world::run(away_for_a_minute(), self.policy, SEED);
        let measured = match self.measure {
            Measure::Dials(from, until) => figures.rates[from..until].iter().sum(),
            Measure::P99 => Figure::P99.of(&figures).unwrap_or(f64::NAN),
        };
        Compared {
            case: self,
            measured,
        }
    }
}

impl simulation::Compared for Compared {
    /// Within 3 %: four deviations of the sums, and what the first delay is beside the first second.
    fn holds(&self) -> bool {
        (self.measured / self.case.expected - 1.0).abs() <= 0.03
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case {
            policy,
            measure,
            expected,
        } = self.case;
        write!(f, "| {} | ", policy.name())?;
        match measure {
            Measure::Dials(from, until) => write!(f, "dials from {from} s to {until} s")?,
            Measure::P99 => f.write_str("p99 s")?,
        }
        let holds = if self.holds() { "holds" } else { "OFF" };
        write!(f, " | {expected} | {:.2} | {holds} |", self.measured)
    }
}

fn away_for_a_minute() -> &'static Scenario {
    let mut all = scenarios::ALL.iter();
    all.find(|scenario| scenario.name == "restart-60s")
        .expect("it is in the table")
}

/// The heading of the lines that a `Compared` is.
pub(super) const HEADING: &str = "\
| check | figure | by theory | simulated | |
| --- | --- | ---: | ---: | --- |";

const ALL: &[Case] = &[
    // Between 2 s and 16 s time doubles three times.
    case(Linkerd, Measure::Dials(2, 16), 30_000.0),
    case(Full, Measure::Dials(2, 16), 30_000.0),
    case(Ours, Measure::Dials(20, 50), 40_000.0),
    // 8 - √(0.02 × 1 × 7.5)
    case(Ours, Measure::P99, 7.613),
];

const fn case(policy: PolicyKind, measure: Measure, expected: f64) -> Case {
    Case {
        policy,
        measure,
        expected,
    }
}

const SEED: u64 = 1;

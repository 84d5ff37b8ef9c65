//! Whether our reconnecting does what it should, with each seed.

use benches::simulation::{Figure as _, Policy as _, Results, Verdict};

use super::{
    figure::Figure::{self, Late, P99, Peak},
    policy::PolicyKind::{self, Ours, OursExclusive, OursPutOff},
    scenario::Scenario,
};

/// What can be said about a scenario, with the policies that ran.
pub(super) fn judge(results: &Results<'_, Scenario>) -> Vec<Verdict> {
    let marks = MARKS
        .iter()
        .filter(|mark| mark.scenario == results.scenario.name);
    marks.filter_map(|mark| mark.judge(results)).collect()
}

/// Something to reach in a scenario: no seed's figure is above the limit.
struct Mark {
    policy: PolicyKind,
    scenario: &'static str,
    figure: Figure,
    limit: f64,
}

impl Mark {
    fn judge(&self, results: &Results<'_, Scenario>) -> Option<Verdict> {
        let figures = results.of(self.policy)?;
        let worst = self.figure.of_each(figures).into_iter();
        let worst = worst.max_by(f64::total_cmp)?;
        Some(Verdict {
            scenario: results.scenario.name,
            mark: format!(
                "{}, {}, at most, with each seed",
                self.policy.name(),
                self.figure.title()
            ),
            ours: format!("{} (worst {worst})", self.figure.show_each(figures)),
            bar: self.limit.to_string(),
            met: worst <= self.limit,
        })
    }
}

const MARKS: &[Mark] = &[
    mark(Ours, "restart-10s", Peak, 1500.0),
    mark(Ours, "restart-10s", P99, 8.0),
    mark(Ours, "restart-60s", Peak, 1500.0),
    mark(Ours, "restart-60s", P99, 8.0),
    mark(Ours, "crash", Peak, 1500.0),
    mark(Ours, "crash", P99, 8.0),
    // A client is back after no more than the outage, and a first step.
    mark(Ours, "restart-0s", P99, 0.0),
    mark(Ours, "restart-1s", P99, 1.25),
    mark(OursExclusive, "restart-10s", Peak, 1500.0),
    mark(OursExclusive, "restart-10s", P99, 8.0),
    mark(OursExclusive, "restart-60s", Peak, 1500.0),
    mark(OursExclusive, "restart-60s", P99, 8.0),
    mark(OursExclusive, "crash", Peak, 1500.0),
    mark(OursExclusive, "crash", P99, 8.0),
    mark(OursPutOff, "restart-0s", Peak, 1500.0),
    mark(OursPutOff, "restart-0s", P99, 8.0),
    mark(OursPutOff, "start", Peak, 1500.0),
    mark(OursPutOff, "start", P99, 8.0),
    // A thousand clients, each once in 7 s.
    mark(Ours, "flap-closes", Late, 150.0),
    mark(Ours, "flap-goes-away", Late, 150.0),
    mark(Ours, "flap-rejects", Late, 150.0),
    mark(OursExclusive, "flap-closes", Late, 150.0),
    mark(OursExclusive, "flap-rejects", Late, 150.0),
];

const fn mark(policy: PolicyKind, scenario: &'static str, figure: Figure, limit: f64) -> Mark {
    Mark {
        policy,
        scenario,
        figure,
        limit,
    }
}

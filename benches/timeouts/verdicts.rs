//! Whether our limits are what they should be.

use super::{
    figure::Figure::{
        self, CutAfter, CutAtFirst, CutBefore, CutLater, CutOf500, RecoveryDown, RecoveryUp,
        WaitAfter, WaitBefore, WaitLater,
    },
    policy::PolicyKind,
    runs::Results,
    statistics::Estimate,
    verdict::Verdict,
};

/// What can be said about a scenario, with the estimators that ran.
pub(super) fn judge(results: &Results<'_>) -> Vec<Verdict> {
    let name = results.scenario.name;
    let marks = MARKS.iter().filter(|mark| name.starts_with(mark.scenario));
    let marks: Vec<&Mark> = marks.collect();
    let ours = [PolicyKind::Quantile, PolicyKind::Smoothed];
    let ours = ours.into_iter().flat_map(|policy| {
        let marks = marks.iter();
        marks.filter_map(move |mark| mark.judge(results, policy))
    });
    ours.collect()
}

/// Something to reach in a scenario, or a family of them.
struct Mark {
    scenario: &'static str,
    figure: Figure,
    at_most: f64,
}

impl Mark {
    fn judge(&self, results: &Results<'_>, policy: PolicyKind) -> Option<Verdict> {
        let figures = results.of(policy)?;
        let ours = self.figure.of_each(figures);
        let mean = Estimate::of(&ours).mean;
        Some(Verdict {
            scenario: results.scenario.name,
            mark: format!("{}: {}", policy.name(), self.figure.title()),
            ours: self.figure.show_each(figures),
            bar: self.figure.show(Estimate {
                mean: self.at_most,
                margin: f64::INFINITY,
            }),
            met: mean <= self.at_most,
        })
    }
}

const MARKS: &[Mark] = &[
    mark("", CutBefore, 0.15),
    mark("step", CutAtFirst, 1.0),
    mark("step", CutOf500, 4.2),
    mark("step", CutLater, 0.2),
    mark("step", CutAfter, 0.2),
    mark("step", WaitBefore, 1.2),
    mark("step", WaitLater, 1.2),
    mark("step", WaitAfter, 1.2),
    mark("step", RecoveryUp, 2.0),
    mark("step", RecoveryDown, 5.0),
    mark("hangs", CutLater, 0.2),
    mark("hangs", WaitLater, 1.2),
    mark("outage", CutAfter, 0.2),
    mark("outage", WaitAfter, 1.2),
    mark("outage", RecoveryDown, 5.0),
    mark("rare-step", CutAtFirst, 1.0),
    mark("rare-step", CutLater, 0.2),
    mark("rare-step", WaitBefore, 3.0),
    mark("rare-step", WaitLater, 3.0),
    mark("rare-step", WaitAfter, 3.0),
    mark("rare-hangs", WaitLater, 3.0),
    mark("many-step", CutAtFirst, 1.0),
    mark("many-step", CutLater, 0.2),
    mark("many-step", WaitBefore, 1.2),
    mark("many-step", WaitLater, 1.2),
    mark("many-step", RecoveryUp, 2.0),
    mark("many-step", RecoveryDown, 5.0),
    mark("many-step", CutAfter, 0.2),
    mark("many-step", WaitAfter, 1.2),
    mark("many-hangs", CutLater, 0.2),
    mark("many-hangs", WaitLater, 1.2),
    mark("surge", CutAtFirst, 0.2),
    mark("surge", CutLater, 0.2),
    mark("surge", WaitLater, 1.2),
    mark("many-surge", CutAtFirst, 0.2),
    mark("many-surge", CutLater, 0.2),
    mark("many-surge", WaitLater, 1.2),
];

const fn mark(scenario: &'static str, figure: Figure, at_most: f64) -> Mark {
    Mark {
        scenario,
        figure,
        at_most,
    }
}

//! Whether our retries do what they should.

use benches::simulation::{Estimate, Figure as _, Policy as _, Results, Verdict};

use super::{
    figure::Figure::{self, Attempts, Recovery, Success, SuccessInTrouble},
    policy::PolicyKind::{self, None as NoRetries, Ours},
    record::Figures,
    scenario::Scenario,
};

/// What can be said about a scenario, with the policies that ran.
pub(super) fn judge(results: &Results<'_, Scenario>) -> Vec<Verdict> {
    let Some(ours) = results.of(Ours) else {
        return Vec::new();
    };
    let judge = Judge { results, ours };
    let marks = MARKS.iter().filter(|mark| judge.concerns(mark));
    marks.filter_map(|mark| judge.by(mark)).collect()
}

/// Something to reach in a scenario, or a family of them.
struct Mark {
    scenario: &'static str,
    figure: Figure,
    limit: Limit,
}

enum Limit {
    AtMost(f64),
    AtLeast(f64),
    /// As far as the 95 % interval of the difference can tell, which is taken seed by seed.
    NoMoreThan(PolicyKind),
}

struct Judge<'a> {
    results: &'a Results<'a, Scenario>,
    ours: &'a [Figures],
}

impl Judge<'_> {
    fn concerns(&self, mark: &Mark) -> bool {
        self.results.scenario.name.starts_with(mark.scenario)
    }

    fn by(&self, mark: &Mark) -> Option<Verdict> {
        let figure = mark.figure;
        let ours = figure.of_each(self.ours);
        let mean = Estimate::of(&ours).mean;
        let (text, bar, met) = match mark.limit {
            Limit::AtMost(limit) => ("at most".to_owned(), exactly(figure, limit), mean <= limit),
            Limit::AtLeast(limit) => ("at least".to_owned(), exactly(figure, limit), mean >= limit),
            Limit::NoMoreThan(peer) => {
                let peers = self.results.of(peer)?;
                let met = is_no_more(&ours, &figure.of_each(peers));
                let text = format!("no more than {}", peer.name());
                (text, figure.show_each(peers), met)
            }
        };
        Some(Verdict {
            scenario: self.results.scenario.name,
            mark: format!("{} {text}", figure.title()),
            ours: figure.show_each(self.ours),
            bar,
            met,
        })
    }
}

fn exactly(figure: Figure, limit: f64) -> String {
    figure.show(Estimate {
        mean: limit,
        margin: f64::INFINITY,
    })
}

/// What was never seen is more than all that was.
fn is_no_more(ours: &[f64], theirs: &[f64]) -> bool {
    let (seen, others): (Vec<f64>, Vec<f64>) = ours
        .iter()
        .zip(theirs)
        .filter(|(_, theirs)| theirs.is_finite())
        .unzip();
    let difference = Estimate::of_difference(&seen, &others);
    seen.is_empty() || difference.mean - difference.margin <= 0.0
}

const MARKS: &[Mark] = &[
    mark("brownout", Recovery, Limit::NoMoreThan(NoRetries)),
    mark("brownout", Attempts, Limit::AtMost(1.1)),
    mark("random", Success, Limit::AtLeast(99.98)),
    mark("outage", SuccessInTrouble, Limit::AtLeast(99.9)),
    mark("rare", Success, Limit::AtLeast(99.9)),
];

const fn mark(scenario: &'static str, figure: Figure, limit: Limit) -> Mark {
    Mark {
        scenario,
        figure,
        limit,
    }
}

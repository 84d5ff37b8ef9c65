//! Whether our balancer does what it should: beside its peers, and by fixed marks.
//!
//! A mark that is missed is printed like one that is met.

use benches::simulation::{Estimate, Figure as _, Policy as _, Results, Verdict};

use super::{
    figure::Figure,
    policy::PolicyKind::{self, Oracle, Ours, Scan, TowerPeakEwma},
    record::Figures,
    scenario::Scenario,
};

/// What can be said about a scenario, with the policies that ran.
pub(super) fn judge(results: &Results<'_, Scenario>) -> Vec<Verdict> {
    let Some(ours) = results.of(Ours) else {
        return Vec::new();
    };
    let judge = Judge { results, ours };
    let mut verdicts = Vec::new();
    for figure in [Figure::P99, Figure::P999, Figure::Errors] {
        verdicts.extend([TowerPeakEwma, Scan].map(|peer| judge.beside(peer, figure)));
    }
    verdicts.extend([Figure::P99, Figure::P999].map(|figure| judge.where_scan_is(figure)));
    verdicts.extend(FIXED.iter().map(|fixed| judge.fixed(fixed)));
    verdicts.into_iter().flatten().collect()
}

/// A mark of its own.
struct Fixed {
    scenarios: &'static [&'static str],
    figure: Figure,
    limit: Limit,
}

enum Limit {
    AtMost(f64),
    /// This many times as much as the oracle.
    TimesOracle(f64),
}

struct Judge<'a> {
    results: &'a Results<'a, Scenario>,
    ours: &'a [Figures],
}

impl Judge<'_> {
    /// Not worse than a peer, as far as the 95 % interval of the difference can tell.
    fn beside(&self, peer: PolicyKind, figure: Figure) -> Option<Verdict> {
        let peers = figure.of_each(self.results.of(peer)?);
        let ours = figure.of_each(self.ours);
        if figure == Figure::Errors && ours.iter().chain(&peers).all(|&errors| errors == 0.0) {
            return None;
        }
        let difference = Estimate::of_difference(&ours, &peers);
        let mark = format!("{} not worse than {}", figure.title(), peer.name());
        let met = difference.mean - difference.margin <= 0.0;
        let mut bar = figure.show(Estimate::of(&peers));
        if !met && figure != Figure::Errors && self.fails_more(peer) {
            // Its servers have that much less to do.
            bar.push_str(", of what it does not fail");
        }
        Some(self.verdict(mark, figure, bar, met))
    }

    fn fails_more(&self, peer: PolicyKind) -> bool {
        let ours = Estimate::of(&Figure::Errors.of_each(self.ours));
        let peer = self.mean(peer, Figure::Errors);
        peer.is_some_and(|peer| peer > ours.mean + NOTABLE_ERRORS)
    }

    fn where_scan_is(&self, figure: Figure) -> Option<Verdict> {
        let oracle = self.mean(Oracle, figure)?;
        let scan = self.mean(Scan, figure)?;
        if scan > NEAR_ORACLE * oracle {
            return None;
        }
        let mark = format!(
            "{} within {NEAR_ORACLE} x oracle, as scan is",
            figure.title()
        );
        Some(self.at_most(mark, figure, NEAR_ORACLE * oracle))
    }

    fn fixed(&self, fixed: &Fixed) -> Option<Verdict> {
        if !fixed.scenarios.contains(&self.results.scenario.name) {
            return None;
        }
        let figure = fixed.figure;
        let (mark, limit) = match fixed.limit {
            Limit::AtMost(limit) => (format!("{} at most {limit}", figure.title()), limit),
            Limit::TimesOracle(times) => (
                format!("{} within {times} x oracle", figure.title()),
                times * self.mean(Oracle, figure)?,
            ),
        };
        Some(self.at_most(mark, figure, limit))
    }

    fn at_most(&self, mark: String, figure: Figure, limit: f64) -> Verdict {
        let ours = Estimate::of(&figure.of_each(self.ours));
        let exact = Estimate {
            mean: limit,
            margin: f64::INFINITY,
        };
        self.verdict(mark, figure, figure.show(exact), ours.mean <= limit)
    }

    fn verdict(&self, mark: String, figure: Figure, bar: String, met: bool) -> Verdict {
        let ours = figure.show_each(self.ours);
        let scenario = self.results.scenario.name;
        Verdict {
            scenario,
            mark,
            ours,
            bar,
            met,
        }
    }

    fn mean(&self, policy: PolicyKind, figure: Figure) -> Option<f64> {
        let figures = figure.of_each(self.results.of(policy)?);
        Some(Estimate::of(&figures).mean)
    }
}

const NEAR_ORACLE: f64 = 1.15;

/// Percent.
const NOTABLE_ERRORS: f64 = 0.5;

const FIXED: &[Fixed] = &[
    at_most(&["stalls"], Figure::P999, 110.0),
    Fixed {
        scenarios: &["mixed"],
        figure: Figure::P99,
        limit: Limit::TimesOracle(NEAR_ORACLE),
    },
    at_most(FAST_FAILERS, Figure::Errors, 0.01),
    at_most(FAST_FAILERS, Figure::Back, 5.0),
    at_most(&["half-failer"], Figure::Errors, 0.05),
    at_most(&["errors-and-slow"], Figure::P99, 105.0),
    at_most(&["newcomer-100-clients"], Figure::FirstSecond, 1.2),
    at_most(&["hang"], Figure::Errors, 0.02),
    at_most(HEALED, Figure::Back, 5.0),
    at_most(&["buoyant"], Figure::Errors, 0.04),
];

const FAST_FAILERS: &[&str] = &[
    "fast-failer-5xx",
    "fast-failer-refused",
    "fast-failer-reset",
];

const HEALED: &[&str] = &["half-failer", "newcomer-cold", "hang", "heals"];

const fn at_most(scenarios: &'static [&'static str], figure: Figure, limit: f64) -> Fixed {
    Fixed {
        scenarios,
        figure,
        limit: Limit::AtMost(limit),
    }
}

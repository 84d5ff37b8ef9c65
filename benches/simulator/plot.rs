//! Charts of what was measured: a figure, scenarios side by side, a bar for each policy.

use std::{fs, io, path::Path};

use benches::simulation::{
    Estimate, Figure as _, Measured, Policy as _, Results,
    chart::{
        Chart, Frame,
        palette::{BLUE, DARK_GREY, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION},
    },
};

use super::{
    figure::Figure::{self, Back, Errors, P99, P999},
    policy::PolicyKind,
    scenario::Scenario,
};

/// Writes a chart for each family of scenarios of which there are results.
pub(super) fn write(directory: &Path, all: &[Results<'_, Scenario>]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for family in FAMILIES {
        let results = family.scenarios.iter().filter_map(|&name| {
            let mut all = all.iter();
            all.find(|results| results.scenario.name == name)
        });
        let results: Vec<_> = results.collect();
        if !results.is_empty() {
            let file = directory.join(family.name).with_extension("svg");
            fs::write(file, family.chart(&results))?;
        }
    }
    Ok(())
}

/// What stands in one chart.
struct Family {
    name: &'static str,
    title: &'static str,
    axis: &'static str,
    figure: Figure,
    scale: Scale,
    scenarios: &'static [&'static str],
}

/// The ends of the vertical axis.
#[derive(Clone, Copy)]
enum Scale {
    Linear(f64),
    /// Powers of ten.
    Logarithmic(i32, i32),
}

impl Family {
    fn chart(&self, results: &[&Results<'_, Scenario>]) -> String {
        let policies: Vec<PolicyKind> = results[0].policies.iter().map(|it| it.policy).collect();
        let group = policies.len() as f64 * BAR + GAP;
        let width = (FRAME.left + group * results.len() as f64 + GAP).max(LEAST_WIDTH);
        let frame = Frame {
            width,
            right: width,
            ..FRAME
        };
        let mut chart = Chart::new(frame, self.title);
        for tick in self.scale.ticks() {
            chart.rule(self.scale.y(tick), tick, "#ddd");
        }
        chart.axis(self.axis);
        legend(&mut chart, &policies);
        for (index, results) in results.iter().enumerate() {
            let x = FRAME.left + GAP + group * index as f64;
            self.group(&mut chart, x, results);
        }
        chart.finish()
    }

    fn group(&self, chart: &mut Chart, x: f64, results: &Results<'_, Scenario>) {
        for (index, measured) in results.policies.iter().enumerate() {
            self.bar(chart, x + BAR * index as f64, measured);
        }
        let middle = x + BAR * results.policies.len() as f64 / 2.0;
        // Long names take two lines.
        for (line, words) in halves(results.scenario.name).into_iter().enumerate() {
            chart.below(middle, line, words);
        }
    }

    fn bar(&self, chart: &mut Chart, x: f64, measured: &Measured<Scenario>) {
        let values = self.figure.of_each(&measured.figures);
        if values.is_empty() {
            return;
        }
        let Estimate { mean, margin } = Estimate::of(&values);
        // What is nothing is seen, too.
        let top = self.scale.y(mean).min(FRAME.bottom - 1.0);
        let width = BAR - 2.0;
        chart.draw(format_args!(
            "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width}\" height=\"{:.1}\" fill=\"{}\">\
             <title>{}: {}</title></rect>",
            FRAME.bottom - top,
            colour(measured.policy),
            measured.policy.name(),
            self.figure.show_each(&measured.figures),
        ));
        let middle = x + width / 2.0;
        if !mean.is_finite() {
            chart.draw(format_args!(
                "<text transform=\"translate({:.1} {}) rotate(-90)\" text-anchor=\"end\" \
                 fill=\"white\">some never</text>",
                middle + 4.0,
                FRAME.top + 4.0
            ));
        } else if margin.is_finite() {
            let (low, high) = (self.scale.y(mean - margin), self.scale.y(mean + margin));
            chart.draw(format_args!(
                "<path d=\"M{middle:.1} {low:.1}V{high:.1}\" stroke=\"black\"/>"
            ));
        }
    }
}

impl Scale {
    /// Where a value stands; what is beyond an end stands at the end.
    fn y(self, value: f64) -> f64 {
        let share = match self {
            Self::Linear(end) => value / end,
            Self::Logarithmic(..) if value <= 0.0 => 0.0,
            Self::Logarithmic(low, high) => {
                (value.log10() - f64::from(low)) / f64::from(high - low)
            }
        };
        FRAME.y(share.clamp(0.0, 1.0), 1.0)
    }

    fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear(end) => (0..=5).map(|fifth| end * f64::from(fifth) / 5.0).collect(),
            Self::Logarithmic(low, high) => (low..=high).map(|power| 10f64.powi(power)).collect(),
        }
    }
}

fn legend(chart: &mut Chart, policies: &[PolicyKind]) {
    for (index, &policy) in policies.iter().enumerate() {
        let x = FRAME.left + LEGEND * index as f64;
        chart.draw(format_args!(
            "<rect x=\"{x}\" y=\"28\" width=\"10\" height=\"10\" fill=\"{}\"/>\
             <text x=\"{}\" y=\"37\">{}</text>",
            colour(policy),
            x + 14.0,
            policy.name()
        ));
    }
}

fn halves(name: &str) -> Vec<&str> {
    match name
        .match_indices('-')
        .min_by_key(|(at, _)| at.abs_diff(name.len() / 2))
    {
        Some((at, _)) if name.len() > SHORT_NAME => vec![&name[..=at], &name[at + 1..]],
        _ => vec![name],
    }
}

fn colour(policy: PolicyKind) -> &'static str {
    match policy {
        PolicyKind::Ours => BLUE,
        PolicyKind::OursTwo
        | PolicyKind::OursFour
        | PolicyKind::OursEight
        | PolicyKind::OursSixteen
        | PolicyKind::OursAll => SKY,
        PolicyKind::TowerPeakEwma => VERMILION,
        PolicyKind::TowerPending => ORANGE,
        PolicyKind::LeastInFlight | PolicyKind::TwoChoices => PURPLE,
        PolicyKind::Scan | PolicyKind::Random => GREEN,
        PolicyKind::Informed => DARK_GREY,
        PolicyKind::Oracle => GREY,
    }
}

const FAMILIES: &[Family] = &[
    Family {
        name: "load",
        title: "Nothing is broken",
        axis: "p99, ms",
        figure: P99,
        scale: Scale::Linear(100.0),
        scenarios: &["equal", "constant", "mixed", "clients-20", "clients-100"],
    },
    Family {
        name: "slowness",
        title: "Some are slow, or stop for a while",
        axis: "p99.9, ms",
        figure: P999,
        scale: Scale::Logarithmic(1, 4),
        scenarios: &[
            "one-slow",
            "heals",
            "errors-and-slow",
            "newcomer-cold",
            "clients-20-two-slow",
            "many-endpoints",
            "stalls",
        ],
    },
    Family {
        name: "failures",
        title: "One fails, hangs, or is too slow for its clients",
        axis: "requests that failed, %",
        figure: Errors,
        scale: Scale::Logarithmic(-4, 2),
        scenarios: &[
            "fast-failer-5xx",
            "fast-failer-refused",
            "fast-failer-reset",
            "half-failer",
            "hang",
            "buoyant",
        ],
    },
    Family {
        name: "recovery",
        title: "One is well again",
        axis: "until half its fair share, s",
        figure: Back,
        scale: Scale::Linear(25.0),
        scenarios: &[
            "fast-failer-5xx",
            "half-failer",
            "hang",
            "heals",
            "newcomer-cold",
        ],
    },
];

/// As wide as what stands in it.
const FRAME: Frame = Frame {
    width: LEAST_WIDTH,
    height: 300.0,
    top: 52.0,
    bottom: 260.0,
    left: 56.0,
    right: LEAST_WIDTH,
};
const BAR: f64 = 14.0;
const GAP: f64 = 18.0;
const LEGEND: f64 = 104.0;
const LEAST_WIDTH: f64 = 56.0 + 7.0 * LEGEND;
const SHORT_NAME: usize = 10;

//! Charts of what was measured: a figure, scenarios side by side, a bar for each policy.
//!
//! SVG by hand: a library would bring more than these lines draw.

use std::{fmt::Write as _, fs, io, path::Path};

use super::{
    figure::Figure::{self, Back, Errors, P99, P999},
    policy::PolicyKind,
    runs::{Measured, Results},
    statistics::Estimate,
};

/// Writes a chart for each family of scenarios of which there are results.
pub(super) fn write(directory: &Path, all: &[Results<'_>]) -> io::Result<()> {
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
    fn chart(&self, results: &[&Results<'_>]) -> String {
        let policies: Vec<PolicyKind> = results[0].policies.iter().map(|it| it.policy).collect();
        let group = policies.len() as f64 * BAR + GAP;
        let width = (LEFT + group * results.len() as f64 + GAP).max(LEAST_WIDTH);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"11\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"18\" font-size=\"14\">{}</text>\n",
            self.title
        );
        self.axis(&mut svg, width);
        legend(&mut svg, &policies);
        for (index, results) in results.iter().enumerate() {
            let x = LEFT + GAP + group * index as f64;
            self.group(&mut svg, x, results);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn axis(&self, svg: &mut String, width: f64) {
        for tick in self.scale.ticks() {
            let y = self.scale.y(tick);
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {y:.1}H{width}\" stroke=\"#ddd\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        let middle = (TOP + BOTTOM) / 2.0;
        let _ = writeln!(
            svg,
            "<text transform=\"translate(14 {middle}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            self.axis
        );
    }

    fn group(&self, svg: &mut String, x: f64, results: &Results<'_>) {
        for (index, measured) in results.policies.iter().enumerate() {
            self.bar(svg, x + BAR * index as f64, measured);
        }
        let middle = x + BAR * results.policies.len() as f64 / 2.0;
        // Long names take two lines.
        for (line, words) in halves(results.scenario.name).into_iter().enumerate() {
            let y = BOTTOM + 16.0 + 13.0 * line as f64;
            let _ = writeln!(
                svg,
                "<text x=\"{middle:.1}\" y=\"{y}\" text-anchor=\"middle\">{words}</text>"
            );
        }
    }

    fn bar(&self, svg: &mut String, x: f64, measured: &Measured) {
        let values = self.figure.of_each(&measured.figures);
        if values.is_empty() {
            return;
        }
        let Estimate { mean, margin } = Estimate::of(&values);
        // What is nothing is seen, too.
        let (top, width) = (self.scale.y(mean).min(BOTTOM - 1.0), BAR - 2.0);
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width}\" height=\"{:.1}\" fill=\"{}\">\
             <title>{}: {}</title></rect>",
            BOTTOM - top,
            colour(measured.policy),
            measured.policy.name(),
            self.figure.show_each(&measured.figures),
        );
        let middle = x + width / 2.0;
        if !mean.is_finite() {
            let _ = writeln!(
                svg,
                "<text transform=\"translate({:.1} {}) rotate(-90)\" text-anchor=\"end\" \
                 fill=\"white\">some never</text>",
                middle + 4.0,
                TOP + 4.0
            );
        } else if margin.is_finite() {
            let (low, high) = (self.scale.y(mean - margin), self.scale.y(mean + margin));
            let _ = writeln!(
                svg,
                "<path d=\"M{middle:.1} {low:.1}V{high:.1}\" stroke=\"black\"/>"
            );
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
        BOTTOM - (BOTTOM - TOP) * share.clamp(0.0, 1.0)
    }

    fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear(end) => (0..=5).map(|fifth| end * f64::from(fifth) / 5.0).collect(),
            Self::Logarithmic(low, high) => (low..=high).map(|power| 10f64.powi(power)).collect(),
        }
    }
}

fn legend(svg: &mut String, policies: &[PolicyKind]) {
    for (index, &policy) in policies.iter().enumerate() {
        let x = LEFT + LEGEND * index as f64;
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"28\" width=\"10\" height=\"10\" fill=\"{}\"/>\
             <text x=\"{}\" y=\"37\">{}</text>",
            colour(policy),
            x + 14.0,
            policy.name()
        );
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

/// Told apart by most eyes: the palette of Okabe and Ito.
fn colour(policy: PolicyKind) -> &'static str {
    match policy {
        PolicyKind::Ours => "#0072b2",
        PolicyKind::OursTwo => "#56b4e9",
        PolicyKind::TowerPeakEwma => "#d55e00",
        PolicyKind::TowerPending => "#e69f00",
        PolicyKind::LeastInFlight | PolicyKind::TwoChoices => "#cc79a7",
        PolicyKind::Scan | PolicyKind::Random => "#009e73",
        PolicyKind::Informed => "#555555",
        PolicyKind::Oracle => "#999999",
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

const HEIGHT: f64 = 300.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 260.0;
const LEFT: f64 = 56.0;
const BAR: f64 = 14.0;
const GAP: f64 = 18.0;
const LEGEND: f64 = 104.0;
const LEAST_WIDTH: f64 = LEFT + 7.0 * LEGEND;
const SHORT_NAME: usize = 10;

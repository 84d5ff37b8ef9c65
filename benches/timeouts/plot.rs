//! Charts of the limits, second by second: a step up and down, hangs, few requests.
//!
//! SVG by hand: a library would bring more than these lines draw.

use std::{fmt::Write as _, fs, io, path::Path};

use super::{
    policy::PolicyKind,
    record::Figures,
    runs::{Measured, Results},
    scenario::{Phase, Scenario},
};

/// Writes a chart for each of its scenarios there are results of.
pub(super) fn write(directory: &Path, all: &[Results<'_>]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for (name, file) in FILES {
        if let Some(results) = all.iter().find(|results| results.scenario.name == name) {
            fs::write(directory.join(file), Chart::of(results).draw(results))?;
        }
    }
    Ok(())
}

/// Seconds across, milliseconds upwards, by factors of ten.
struct Chart {
    seconds: f64,
}

impl Chart {
    fn of(results: &Results<'_>) -> Self {
        let phases = results.scenario.phases.iter();
        Self {
            seconds: phases.map(|phase| phase.seconds).sum(),
        }
    }

    fn draw(&self, results: &Results<'_>) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"11\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"16\" font-size=\"14\">{}</text>\n",
            results.scenario.about
        );
        self.axes(&mut svg, results.scenario);
        let drawn = results.policies.iter();
        let drawn = drawn.filter_map(|measured| Some((measured, colour(measured.policy)?)));
        let drawn: Vec<_> = drawn.collect();
        // The first on top of the others.
        for (measured, colour) in drawn.iter().rev() {
            self.line(&mut svg, measured, colour);
        }
        for (index, (measured, colour)) in drawn.iter().enumerate() {
            label(&mut svg, index, measured.policy, colour);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn axes(&self, svg: &mut String, scenario: &Scenario) {
        let calm = scenario.phases[0].seconds;
        let bad = scenario.phases[1].seconds;
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#eee\"/>\
             <text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            self.x(calm),
            self.x(calm + bad) - self.x(calm),
            BOTTOM - TOP,
            self.x(calm + bad / 2.0),
            TOP - 5.0,
            trouble(&scenario.phases[1]),
        );
        for millis in [10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000] {
            let y = y(f64::from(millis));
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#ddd\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                with_comma(millis)
            );
        }
        for sixth in 0..=6 {
            let seconds = self.seconds * f64::from(sixth) / 6.0;
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{seconds:.0} s</text>",
                self.x(seconds),
                BOTTOM + 16.0
            );
        }
        let middle = (TOP + BOTTOM) / 2.0;
        let _ = writeln!(
            svg,
            "<text transform=\"translate(14 {middle}) rotate(-90)\" text-anchor=\"middle\">\
             limit, ms</text>"
        );
    }

    fn line(&self, svg: &mut String, measured: &Measured, colour: &str) {
        let step = (self.seconds / POINTS).max(0.1);
        let points = (0..POINTS as usize).filter_map(|point| {
            let at = point as f64 * step;
            let limit = mean_at(&measured.figures, (at * 10.0) as usize)?;
            Some(format!("{:.1},{:.1} ", self.x(at), y(limit)))
        });
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{}\"{}>\
             <title>{}</title></polyline>",
            points.collect::<String>().trim_end(),
            if measured.policy == PolicyKind::Quantile {
                2.5
            } else {
                1.5
            },
            dashes(measured.policy),
            measured.policy.name(),
        );
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * seconds / self.seconds
    }
}

fn trouble(phase: &Phase) -> String {
    match phase.hung > 0.0 {
        true => format!("{} % hang", 100.0 * phase.hung),
        false => format!("{} times slower", phase.slower),
    }
}

fn with_comma(millis: u32) -> String {
    match (millis / 1_000, millis % 1_000) {
        (0, rest) => rest.to_string(),
        (thousands, rest) => format!("{thousands},{rest:03}"),
    }
}

fn label(svg: &mut String, index: usize, policy: PolicyKind, colour: &str) {
    let y = TOP + 12.0 + 17.0 * index as f64;
    let _ = writeln!(
        svg,
        "<path d=\"M{} {:.1}h18\" stroke=\"{colour}\" stroke-width=\"2\"{}/>\
         <text x=\"{}\" y=\"{y:.1}\">{}</text>",
        RIGHT + 10.0,
        y - 4.0,
        dashes(policy),
        RIGHT + 33.0,
        policy.name()
    );
}

/// The mean of the seeds, of the logarithm; `None` before the first request.
fn mean_at(figures: &[Figures], tenth: usize) -> Option<f64> {
    let limits = figures.iter().filter_map(|run| run.limits.get(tenth));
    let limits: Vec<f64> = limits.filter(|limit| limit.is_finite()).copied().collect();
    let logarithms = limits.iter().map(|limit| limit.ln()).sum::<f64>();
    (!limits.is_empty()).then(|| (logarithms / limits.len() as f64).exp())
}

fn y(millis: f64) -> f64 {
    let part = (millis.clamp(LEAST, MOST) / LEAST).ln() / (MOST / LEAST).ln();
    BOTTOM - (BOTTOM - TOP) * part
}

/// Told apart by most eyes: the palette of Okabe and Ito. Not all are drawn.
fn colour(policy: PolicyKind) -> Option<&'static str> {
    match policy {
        PolicyKind::Quantile => Some("#0072b2"),
        PolicyKind::Smoothed => Some("#56b4e9"),
        PolicyKind::P99 => Some("#e69f00"),
        PolicyKind::TwiceP99 => Some("#d55e00"),
        PolicyKind::Doubling => Some("#cc79a7"),
        PolicyKind::Oracle => Some("#000000"),
        PolicyKind::Fixed1s | PolicyKind::Fixed250ms | PolicyKind::Censored(_) => None,
    }
}

fn dashes(policy: PolicyKind) -> &'static str {
    match policy {
        PolicyKind::Oracle => " stroke-dasharray=\"5 3\"",
        _ => "",
    }
}

const FILES: [(&str, &str); 3] = [
    ("step-10", "timeouts-step.svg"),
    ("hangs-5", "timeouts-hangs.svg"),
    ("rare-step-5", "timeouts-rare.svg"),
];
const POINTS: f64 = 300.0;
/// Milliseconds.
const LEAST: f64 = 10.0;
const MOST: f64 = 12_000.0;
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 330.0;
const TOP: f64 = 42.0;
const BOTTOM: f64 = 300.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 730.0;

//! A chart of a brownout: how many requests are answered in time, second by second, a line for
//! each policy.
//!
//! SVG by hand: a library would bring more than these lines draw.

use std::{fmt::Write as _, fs, io, path::Path};

use super::{
    policy::PolicyKind,
    record::Figures,
    runs::{Measured, Results},
    scenario::Watch,
};

/// Writes the chart, if there are results of its scenario.
pub(super) fn write(directory: &Path, all: &[Results<'_>]) -> io::Result<()> {
    let mut all = all.iter();
    let Some(results) = all.find(|results| results.scenario.name == SCENARIO) else {
        return Ok(());
    };
    let Some(trouble) = results.scenario.watch else {
        return Ok(());
    };
    fs::create_dir_all(directory)?;
    fs::write(directory.join("storms.svg"), chart(results, trouble))
}

fn chart(results: &Results<'_>, trouble: Watch) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"18\" font-size=\"14\">{}</text>\n",
        results.scenario.about
    );
    axes(&mut svg, trouble);
    for (index, measured) in results.policies.iter().enumerate() {
        line(&mut svg, measured);
        label(&mut svg, index, measured.policy);
    }
    svg.push_str("</svg>\n");
    svg
}

fn axes(svg: &mut String, trouble: Watch) {
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        svg,
        "<rect x=\"{:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#eee\"/>",
        x(trouble.from),
        x(trouble.until) - x(trouble.from),
        BOTTOM - TOP,
    );
    for percent in (0..=100).step_by(20) {
        let y = y(f64::from(percent));
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{percent}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    for seconds in (0..=LAST).step_by(10) {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{seconds} s</text>",
            x(f64::from(seconds)),
            BOTTOM + 16.0
        );
    }
    let middle = (TOP + BOTTOM) / 2.0;
    let _ = writeln!(
        svg,
        "<text transform=\"translate(14 {middle}) rotate(-90)\" text-anchor=\"middle\">\
         answered within a second, %</text>"
    );
}

fn line(svg: &mut String, measured: &Measured) {
    let points = (0..LAST).map(|second| {
        let percent = mean_at(&measured.figures, second as usize);
        format!("{:.1},{:.1} ", x(f64::from(second) + 0.5), y(percent))
    });
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\"{}>\
         <title>{}</title></polyline>",
        points.collect::<String>().trim_end(),
        colour(measured.policy),
        if measured.policy == PolicyKind::Ours {
            2.5
        } else {
            1.5
        },
        dashes(measured.policy),
        measured.policy.name(),
    );
}

fn label(svg: &mut String, index: usize, policy: PolicyKind) {
    let y = TOP + 12.0 + 17.0 * index as f64;
    let _ = writeln!(
        svg,
        "<path d=\"M{} {:.1}h18\" stroke=\"{}\" stroke-width=\"2\"{}/>\
         <text x=\"{}\" y=\"{y:.1}\">{}</text>",
        RIGHT + 10.0,
        y - 4.0,
        colour(policy),
        dashes(policy),
        RIGHT + 33.0,
        policy.name()
    );
}

/// Of the seeds in which somebody came in that second.
fn mean_at(figures: &[Figures], second: usize) -> f64 {
    let seeds = figures.iter();
    let values = seeds.filter_map(|figures| figures.in_time.get(second).copied());
    let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn x(seconds: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * seconds / f64::from(LAST)
}

fn y(percent: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * percent / 100.0
}

/// Told apart by most eyes: the palette of Okabe and Ito.
fn colour(policy: PolicyKind) -> &'static str {
    match policy {
        PolicyKind::Ours | PolicyKind::OursThrottled => "#0072b2",
        PolicyKind::Tower | PolicyKind::TowerNoFloor => "#d55e00",
        PolicyKind::Naive | PolicyKind::NaiveBackoff => "#e69f00",
        PolicyKind::Aws | PolicyKind::Aws2026 => "#009e73",
        PolicyKind::ResilienceBucket | PolicyKind::ResilienceAimd => "#cc79a7",
        PolicyKind::Grpc | PolicyKind::OursWithout(_) => "#56b4e9",
        PolicyKind::None => "#000000",
        PolicyKind::Oracle => "#999999",
    }
}

/// Of two with one colour, the second.
fn dashes(policy: PolicyKind) -> &'static str {
    match policy {
        PolicyKind::TowerNoFloor
        | PolicyKind::NaiveBackoff
        | PolicyKind::OursThrottled
        | PolicyKind::Aws2026
        | PolicyKind::ResilienceAimd => " stroke-dasharray=\"5 3\"",
        _ => "",
    }
}

const SCENARIO: &str = "brownout-80-clients-40";
/// Seconds that are drawn.
const LAST: u32 = 60;
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 300.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 270.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 710.0;

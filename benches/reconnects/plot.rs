//! A chart of an outage: dials a second, a line for each policy, on a logarithmic scale.
//!
//! SVG by hand: a library would bring more than these lines draw.

use std::{fmt::Write as _, fs, io, path::Path};

use super::{
    policy::PolicyKind,
    record::Figures,
    runs::{Measured, Results},
};

/// Writes the chart, if there are results of its scenario.
pub(super) fn write(directory: &Path, all: &[Results<'_>]) -> io::Result<()> {
    let mut all = all.iter();
    let Some(results) = all.find(|results| results.scenario.name == SCENARIO) else {
        return Ok(());
    };
    fs::create_dir_all(directory)?;
    fs::write(directory.join("reconnects.svg"), chart(results))
}

fn chart(results: &Results<'_>) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"18\" font-size=\"14\">10,000 clients lose a server for 10 s</text>\n"
    );
    axes(&mut svg, results.scenario.back_at().unwrap_or(0.0));
    // Ours are one line when nobody has more than one connection.
    let drawn = results.policies.iter();
    let drawn = drawn.filter(|measured| measured.policy != PolicyKind::OursExclusive);
    for (index, measured) in drawn.enumerate() {
        line(&mut svg, measured);
        label(&mut svg, index, measured.policy);
    }
    svg.push_str("</svg>\n");
    svg
}

fn axes(svg: &mut String, back_at: f64) {
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        svg,
        "<rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#eee\"/>",
        x(back_at) - LEFT,
        BOTTOM - TOP,
    );
    for (rate, text) in [
        (1e2, "100"),
        (1e3, "1,000"),
        (1e4, "10,000"),
        (1e5, "100,000"),
    ] {
        rule(svg, rate, text, "#ddd");
    }
    rule(svg, MARK, "1,500", "#999");
    for seconds in (0..=LAST).step_by(5) {
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
         dials a second</text>"
    );
}

fn rule(svg: &mut String, rate: f64, text: &str, colour: &str) {
    let y = y(rate);
    let _ = writeln!(
        svg,
        "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"{colour}\"/>\
         <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
        LEFT - 6.0,
        y + 4.0
    );
}

fn line(svg: &mut String, measured: &Measured) {
    let points = (0..LAST).map(|second| {
        let rate = mean_at(&measured.figures, second as usize);
        format!("{:.1},{:.1} ", x(f64::from(second) + 0.5), y(rate))
    });
    let width = if measured.policy == PolicyKind::Ours {
        2.5
    } else {
        1.5
    };
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\"{}>\
         <title>{}</title></polyline>",
        points.collect::<String>().trim_end(),
        colour(measured.policy),
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

fn mean_at(figures: &[Figures], second: usize) -> f64 {
    let rates = figures
        .iter()
        .filter_map(|figures| figures.rates.get(second));
    rates.sum::<f64>() / figures.len().max(1) as f64
}

fn x(seconds: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * seconds / f64::from(LAST)
}

/// What is less than the least that is drawn lies on the axis.
fn y(rate: f64) -> f64 {
    let place = (rate / LEAST).max(1.0).log10() / (MOST / LEAST).log10();
    BOTTOM - (BOTTOM - TOP) * place
}

/// Told apart by most eyes: the palette of Okabe and Ito.
fn colour(policy: PolicyKind) -> &'static str {
    match policy {
        PolicyKind::Ours
        | PolicyKind::OursPutOff
        | PolicyKind::OursExclusive
        | PolicyKind::OursTen => "#0072b2",
        PolicyKind::Tower => "#999999",
        PolicyKind::Linkerd => "#d55e00",
        PolicyKind::Grpc => "#009e73",
        PolicyKind::Full | PolicyKind::FullEight => "#000000",
        PolicyKind::Equal | PolicyKind::EqualEight | PolicyKind::EqualTen => "#e69f00",
        PolicyKind::Decorrelated | PolicyKind::DecorrelatedEight => "#cc79a7",
        PolicyKind::NarrowingEight => "#56b4e9",
    }
}

fn dashes(policy: PolicyKind) -> &'static str {
    if PolicyKind::MORE.contains(&policy) || policy == PolicyKind::OursPutOff {
        " stroke-dasharray=\"5 3\""
    } else {
        ""
    }
}

const SCENARIO: &str = "restart-10s";
const MARK: f64 = 1_500.0;
const LEAST: f64 = 50.0;
const MOST: f64 = 150_000.0;
/// Seconds that are drawn.
const LAST: u32 = 30;
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 320.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 290.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 720.0;

//! A chart of an outage: dials a second, a line for each policy, on a logarithmic scale.

use std::{fs, io, path::Path};

use benches::simulation::{
    Measured, Policy as _, Results,
    chart::{
        Chart, Frame, Stroke,
        palette::{BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION},
    },
};

use super::{policy::PolicyKind, record::Figures, scenario::Scenario};

/// Writes the chart, if there are results of its scenario.
pub(super) fn write(directory: &Path, all: &[Results<'_, Scenario>]) -> io::Result<()> {
    let mut all = all.iter();
    let Some(results) = all.find(|results| results.scenario.name == SCENARIO) else {
        return Ok(());
    };
    fs::create_dir_all(directory)?;
    fs::write(directory.join("reconnects.svg"), chart(results))
}

fn chart(results: &Results<'_, Scenario>) -> String {
    let mut chart = Chart::new(FRAME, "10,000 clients lose a server for 10 s");
    chart.shade(x(0.0), x(results.scenario.back_at().unwrap_or(0.0)));
    for (rate, text) in [
        (1e2, "100"),
        (1e3, "1,000"),
        (1e4, "10,000"),
        (1e5, "100,000"),
    ] {
        chart.rule(y(rate), text, "#ddd");
    }
    chart.rule(y(MARK), "1,500", "#999");
    for seconds in (0..=LAST).step_by(5) {
        chart.below(x(f64::from(seconds)), 0, format_args!("{seconds} s"));
    }
    chart.axis("dials a second");
    // Ours are one line when nobody has more than one connection.
    let drawn = results.policies.iter();
    for measured in drawn.filter(|one| one.policy != PolicyKind::OursExclusive) {
        line(&mut chart, measured);
    }
    chart.finish()
}

fn line(chart: &mut Chart, measured: &Measured<Scenario>) {
    let places = (0..LAST).map(|second| {
        let rate = mean_at(&measured.figures, second as usize);
        (x(f64::from(second) + 0.5), y(rate))
    });
    chart.line(places, stroke(measured.policy), measured.policy.name());
}

fn mean_at(figures: &[Figures], second: usize) -> f64 {
    let rates = figures
        .iter()
        .filter_map(|figures| figures.rates.get(second));
    rates.sum::<f64>() / figures.len().max(1) as f64
}

fn x(seconds: f64) -> f64 {
    FRAME.x(seconds, f64::from(LAST))
}

/// What is less than the least that is drawn lies on the axis.
fn y(rate: f64) -> f64 {
    let place = (rate / LEAST).max(1.0).log10() / (MOST / LEAST).log10();
    FRAME.y(place, 1.0)
}

fn stroke(policy: PolicyKind) -> Stroke {
    Stroke {
        colour: match policy {
            PolicyKind::Ours
            | PolicyKind::OursPutOff
            | PolicyKind::OursExclusive
            | PolicyKind::OursTen => BLUE,
            PolicyKind::Tower => GREY,
            PolicyKind::Linkerd => VERMILION,
            PolicyKind::Grpc => GREEN,
            PolicyKind::Full | PolicyKind::FullEight => BLACK,
            PolicyKind::Equal | PolicyKind::EqualEight | PolicyKind::EqualTen => ORANGE,
            PolicyKind::Decorrelated | PolicyKind::DecorrelatedEight => PURPLE,
            PolicyKind::NarrowingEight => SKY,
        },
        is_bold: policy == PolicyKind::Ours,
        is_dashed: PolicyKind::MORE.contains(&policy) || policy == PolicyKind::OursPutOff,
    }
}

const SCENARIO: &str = "restart-10s";
const MARK: f64 = 1_500.0;
const LEAST: f64 = 50.0;
const MOST: f64 = 150_000.0;
/// Seconds that are drawn.
const LAST: u32 = 30;
const FRAME: Frame = Frame {
    width: 860.0,
    height: 320.0,
    top: 34.0,
    bottom: 290.0,
    left: 70.0,
    right: 720.0,
};

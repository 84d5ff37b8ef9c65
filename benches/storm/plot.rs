//! A chart of a brownout: how many requests are answered in time, second by second, a line for
//! each policy.

use std::{fs, io, path::Path};

use benches::simulation::{
    Measured, Policy as _, Results,
    chart::{
        Chart, Frame, Stroke,
        palette::{BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION},
    },
};

use super::{
    policy::PolicyKind,
    record::Figures,
    scenario::{Scenario, Watch},
};

/// Writes the chart, if there are results of its scenario.
pub(super) fn write(directory: &Path, all: &[Results<'_, Scenario>]) -> io::Result<()> {
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

fn chart(results: &Results<'_, Scenario>, trouble: Watch) -> String {
    let mut chart = Chart::new(FRAME, results.scenario.about);
    chart.shade(x(trouble.from), x(trouble.until));
    for percent in (0..=100).step_by(20) {
        chart.rule(y(f64::from(percent)), percent, "#ddd");
    }
    for seconds in (0..=LAST).step_by(10) {
        chart.below(x(f64::from(seconds)), 0, format_args!("{seconds} s"));
    }
    chart.axis("answered within a second, %");
    for measured in &results.policies {
        line(&mut chart, measured);
    }
    chart.finish()
}

fn line(chart: &mut Chart, measured: &Measured<Scenario>) {
    let places = (0..LAST).map(|second| {
        let percent = mean_at(&measured.figures, second as usize);
        (x(f64::from(second) + 0.5), y(percent))
    });
    chart.line(places, stroke(measured.policy), measured.policy.name());
}

/// Of the seeds in which somebody came in that second.
fn mean_at(figures: &[Figures], second: usize) -> f64 {
    let seeds = figures.iter();
    let values = seeds.filter_map(|figures| figures.in_time.get(second).copied());
    let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn x(seconds: f64) -> f64 {
    FRAME.x(seconds, f64::from(LAST))
}

fn y(percent: f64) -> f64 {
    FRAME.y(percent, 100.0)
}

fn stroke(policy: PolicyKind) -> Stroke {
    Stroke {
        colour: match policy {
            PolicyKind::Ours | PolicyKind::OursThrottled => BLUE,
            PolicyKind::Tower | PolicyKind::TowerNoFloor => VERMILION,
            PolicyKind::Naive | PolicyKind::NaiveBackoff => ORANGE,
            PolicyKind::Aws | PolicyKind::Aws2026 => GREEN,
            PolicyKind::ResilienceBucket | PolicyKind::ResilienceAimd => PURPLE,
            PolicyKind::Grpc | PolicyKind::OursWithout(_) => SKY,
            PolicyKind::None => BLACK,
            PolicyKind::Oracle => GREY,
        },
        is_bold: policy == PolicyKind::Ours,
        is_dashed: matches!(
            policy,
            PolicyKind::TowerNoFloor
                | PolicyKind::NaiveBackoff
                | PolicyKind::OursThrottled
                | PolicyKind::Aws2026
                | PolicyKind::ResilienceAimd
        ),
    }
}

const SCENARIO: &str = "brownout-80-clients-40";
/// Seconds that are drawn.
const LAST: u32 = 60;
const FRAME: Frame = Frame {
    width: 860.0,
    height: 300.0,
    top: 34.0,
    bottom: 270.0,
    left: 56.0,
    right: 710.0,
};

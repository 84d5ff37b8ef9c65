//! What was measured, as Markdown.

use std::fmt::Write as _;

use super::{
    record::Figures,
    runs::{Measured, Results},
    statistics::Estimate,
};

/// A figure, and when it is worth a column.
struct Column {
    title: &'static str,
    figure: fn(&Figures) -> Option<f64>,
    digits: usize,
}

/// One table of a scenario.
pub(super) fn table(results: &Results<'_>) -> String {
    let columns: Vec<&Column> = COLUMNS
        .iter()
        .filter(|column| column.is_used(results))
        .collect();
    let scenario = results.scenario;
    let mut table = format!("### {}: {}\n\n| policy |", scenario.name, scenario.about);
    for column in &columns {
        // Writing to a string cannot fail.
        let _ = write!(table, " {} |", column.title);
    }
    table.push_str("\n| --- |");
    table.push_str(&" ---: |".repeat(columns.len()));
    for measured in &results.policies {
        let _ = write!(table, "\n| {} |", measured.policy.name());
        for column in &columns {
            let _ = write!(table, " {} |", column.cell(measured));
        }
    }
    table.push('\n');
    table
}

impl Column {
    fn is_used(&self, results: &Results<'_>) -> bool {
        let mut figures = results
            .policies
            .iter()
            .flat_map(|measured| &measured.figures);
        figures.any(|figures| (self.figure)(figures).is_some_and(|figure| figure != 0.0))
    }

    fn cell(&self, measured: &Measured) -> String {
        let figures = measured.figures.iter();
        let values: Vec<f64> = figures
            .filter_map(|figures| (self.figure)(figures))
            .collect();
        if values.is_empty() {
            return "–".to_owned();
        }
        let seen: Vec<f64> = values
            .iter()
            .copied()
            .filter(|value| value.is_finite())
            .collect();
        if 2 * seen.len() <= values.len() {
            return format!("never ({} of {})", values.len() - seen.len(), values.len());
        }
        let Estimate { mean, margin } = Estimate::of(&seen);
        let digits = self.digits;
        let mut cell = if margin.is_finite() {
            format!("{mean:.digits$} ± {margin:.digits$}")
        } else {
            format!("{mean:.digits$}")
        };
        if seen.len() < values.len() {
            let _ = write!(cell, ", never in {}", values.len() - seen.len());
        }
        cell
    }
}

const COLUMNS: &[Column] = &[
    Column {
        title: "p50 ms",
        figure: |figures| Some(figures.p50),
        digits: 1,
    },
    Column {
        title: "p99 ms",
        figure: |figures| Some(figures.p99),
        digits: 1,
    },
    Column {
        title: "p99.9 ms",
        figure: |figures| Some(figures.p999),
        digits: 1,
    },
    Column {
        title: "errors %",
        figure: |figures| Some(figures.errors),
        digits: 4,
    },
    Column {
        title: "errors per run",
        figure: |figures| Some(figures.failed),
        digits: 1,
    },
    Column {
        title: "bad server's share %",
        figure: |figures| figures.bad_share,
        digits: 3,
    },
    Column {
        title: "half its share again after s",
        figure: |figures| figures.back,
        digits: 1,
    },
    Column {
        title: "first second, x fair share",
        figure: |figures| figures.first_second,
        digits: 2,
    },
    Column {
        title: "first request of a client after s",
        figure: |figures| figures.first_request,
        digits: 2,
    },
];

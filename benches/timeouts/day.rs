//! A day, two hours by two hours: whether limits drift, and whether memory grows.

use std::fmt::Write as _;

use super::{
    runs::{Measured, Results},
    statistics::Estimate,
};

/// A line for each two hours, and the heap before and after.
pub(super) fn table(results: &Results<'_>) -> String {
    let scenario = results.scenario;
    let mut table = format!(
        "### {}: {}\n\nAfter a minute of each two hours: false, % and wait, x p99.9.\n\n\
         | requests/s | latency | hang, % |",
        scenario.name, scenario.about
    );
    for measured in &results.policies {
        // Writing to a string cannot fail, here and below.
        let _ = write!(table, " {} |", measured.policy.name());
    }
    table.push_str("\n| ---: | ---: | ---: |");
    table.push_str(&" ---: |".repeat(results.policies.len()));
    for (index, phase) in scenario.phases.iter().enumerate() {
        let _ = write!(
            table,
            "\n| {} | x {} | {} |",
            scenario.rate * phase.load,
            phase.slower,
            100.0 * phase.hung
        );
        for measured in &results.policies {
            let [cut, wait] = [0, 1].map(|which| of_phase(measured, index, which));
            let _ = write!(table, " {}; {} |", cut.show(3), wait.show(2));
        }
    }
    table.push('\n');
    for measured in &results.policies {
        let heaps = measured.figures.iter().map(|run| run.heap);
        let at_first = heaps.clone().map(|heap| heap.at_first).max();
        let grown = heaps.map(|heap| heap.grown).max();
        let _ = write!(
            table,
            "\nHeap of {}: {} bytes when it is new, and {} more at the end of the day.\n",
            measured.policy.name(),
            at_first.unwrap_or_default(),
            grown.unwrap_or_default(),
        );
    }
    table
}

fn of_phase(measured: &Measured, phase: usize, which: usize) -> Estimate {
    let values = measured.figures.iter().map(|run| run.phases[phase][which]);
    Estimate::of(&values.collect::<Vec<_>>())
}

//! What was measured in a scenario, as a Markdown table, and how to read it.

use std::fmt::Write as _;

use super::{Figure, Policy, Results, Scenario};

/// What stands before the tables.
pub(super) fn legend<P: Policy>(policies: &[P], seeds: &[u64]) -> String {
    let mut legend = String::new();
    for policy in policies {
        let _ = writeln!(legend, "- {}: {}", policy.name(), policy.about());
    }
    if let [first, .., last] = seeds {
        let _ = writeln!(
            legend,
            "\nMeans over the seeds {first} to {last}, with 95 % intervals."
        );
    }
    legend
}

/// One table of a scenario: a policy a line, with 95 % intervals of the means over seeds.
pub(super) fn table<S: Scenario>(results: &Results<'_, S>) -> String {
    let figures = S::Figure::ALL.iter().copied();
    let figures: Vec<S::Figure> = figures
        .filter(|&figure| says_something(figure, results))
        .collect();
    let scenario = results.scenario;
    let mut table = format!(
        "### {}: {}\n\n| policy |",
        scenario.name(),
        scenario.about()
    );
    for figure in &figures {
        // Writing to a string cannot fail.
        let _ = write!(table, " {} |", figure.title());
    }
    table.push_str("\n| --- |");
    table.push_str(&" ---: |".repeat(figures.len()));
    for measured in &results.policies {
        let _ = write!(table, "\n| {} |", measured.policy.name());
        for figure in &figures {
            let _ = write!(table, " {} |", figure.show_each(&measured.figures));
        }
    }
    table.push('\n');
    table
}

fn says_something<S: Scenario>(figure: S::Figure, results: &Results<'_, S>) -> bool {
    let mut policies = results.policies.iter();
    policies.any(|measured| {
        let values = figure.of_each(&measured.figures);
        values.iter().any(|&value| value != 0.0)
    })
}

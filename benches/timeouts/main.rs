//! How well timeouts are chosen: open-loop load on one service in virtual time, with the estimators
//! of `tower-timeout-ewma` themselves, and models of other rules.
//! `cargo bench -p benches --bench timeouts -- --help`.
//!
//! [`scenarios`] is the table of what services do, [`policy`] that of who chooses the limit. The
//! command line, the statistics and the tables are the balancer simulator's.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a bench prints its results")]
#![allow(dead_code, reason = "the balancer's simulator uses the rest")]

#[path = "../simulator/cli.rs"]
mod cli;
#[allow(unreachable_pub)]
#[path = "../../tower-timeout-ewma/src/estimator/mod.rs"]
mod estimator;
mod figure;
mod models;
mod ours;
mod plot;
mod policy;
mod record;
#[path = "../simulator/report.rs"]
mod report;
#[path = "../simulator/runs.rs"]
mod runs;
mod scenario;
mod scenarios;
#[path = "../simulator/statistics.rs"]
mod statistics;
#[path = "../../tower-timeout-ewma/src/sync.rs"]
mod sync;
#[path = "../simulator/verdict.rs"]
mod verdict;
mod verdicts;
mod world;

use std::{error::Error, process::ExitCode};

use clap::Parser as _;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    match report_on(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn report_on(arguments: &cli::Arguments) -> Result<(), Box<dyn Error>> {
    let scenarios = arguments.scenarios()?;
    let (policies, seeds) = (arguments.policies(), arguments.seeds());
    println!("{}", report::legend(&policies, &seeds));
    let mut all = Vec::new();
    for scenario in scenarios {
        let results = runs::run_all(scenario, &policies, &seeds, arguments.threads());
        println!("{}", report::table(&results));
        all.push(results);
    }
    println!(
        "{}",
        verdict::table(all.iter().flat_map(verdicts::judge).collect())
    );
    if let Some(directory) = &arguments.plots {
        plot::write(directory, &all)?;
    }
    Ok(())
}

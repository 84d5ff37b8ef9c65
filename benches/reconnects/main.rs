//! What clients do to a server that they have all lost at one moment: 10,000 of them in virtual
//! time, with the reconnecting layers themselves where they are Rust, and models of the backoffs
//! of others. `cargo bench -p benches --bench reconnects -- --help`.
//!
//! [`scenarios`] is the table of troubles, [`policy`] that of clients, [`world`] a run.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a bench prints its results")]
#![allow(dead_code, reason = "the other simulators use the rest")]

#[path = "../simulator/cli.rs"]
mod cli;
mod clients;
mod endpoint;
mod figure;
mod models;
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
mod theory;
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
    if arguments.checks_theory() {
        check_theory(arguments.threads())?;
    }
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

fn check_theory(threads: usize) -> Result<(), Box<dyn Error>> {
    println!("{}", theory::HEADING);
    let mut all_hold = true;
    for compared in theory::compare_all(threads) {
        println!("{compared}");
        all_hold &= compared.holds();
    }
    println!();
    if all_hold {
        Ok(())
    } else {
        Err("the simulator is not what theory says".into())
    }
}

//! What retries do to a server in trouble: open-loop load in virtual time, with the retry layers
//! themselves where they are Rust, and models of their rules where they are not.
//! `cargo bench -p benches --bench storm -- --help`.
//!
//! The loop, the server and the statistics are the balancer simulator's. [`scenarios`] is the
//! table of troubles, [`policy`] that of retry policies.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a bench prints its results")]
#![allow(dead_code, reason = "the balancer's simulator uses the rest")]

#[path = "../simulator/cli.rs"]
mod cli;
#[path = "../simulator/endpoint.rs"]
mod endpoint;
#[path = "../simulator/event.rs"]
mod event;
mod figure;
mod models;
mod plot;
mod policy;
mod real;
mod record;
#[path = "../simulator/report.rs"]
mod report;
mod rules;
#[path = "../simulator/runs.rs"]
mod runs;
#[path = "../simulator/scenario.rs"]
mod scenario;
mod scenarios;
#[path = "../simulator/server.rs"]
mod server;
#[path = "../simulator/statistics.rs"]
mod statistics;
#[path = "../simulator/tasks.rs"]
mod tasks;
mod theory;
#[path = "../simulator/verdict.rs"]
mod verdict;
mod verdicts;
#[path = "../simulator/world.rs"]
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
    for compared in theory::compare_all(threads, theory::SEEDS) {
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

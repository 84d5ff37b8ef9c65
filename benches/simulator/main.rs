//! How well balancers balance: open-loop load in virtual time, with the balancers themselves and
//! not models of them. `cargo bench -p benches --bench simulator -- --help`.
//!
//! A run is a pure function of scenario, policy and seed, as far as a policy lets its own choices
//! be seeded, and takes no real time but its computing. [`scenarios`] is the table of situations,
//! [`policy`] that of balancers, [`world`] the loop.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a bench prints its results")]

mod cli;
mod endpoint;
mod event;
mod figure;
mod models;
mod plot;
mod policy;
mod real;
mod record;
mod report;
mod runs;
mod scenario;
mod scenarios;
mod server;
mod statistics;
mod tasks;
mod theory;
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
    let cases: Vec<&theory::Case> = theory::SLOW.iter().chain(theory::QUICK).collect();
    let mut all_hold = true;
    for compared in runs::on_threads(&cases, threads, |case| case.compare(theory::SEED)) {
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

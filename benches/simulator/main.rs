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
mod models;
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
mod world;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    let scenarios = match arguments.scenarios() {
        Ok(scenarios) => scenarios,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let (policies, seeds) = (arguments.policies(), arguments.seeds());
    for scenario in scenarios {
        let results = runs::run_all(scenario, &policies, &seeds, arguments.threads());
        println!("{}", report::table(&results));
    }
    ExitCode::SUCCESS
}

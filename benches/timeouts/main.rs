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
mod day;
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

use benches::CountingAllocator;
use clap::Parser as _;

use self::scenario::Trouble;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

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
    let seeds = arguments.seeds();
    println!("{PREAMBLE}");
    println!("{}", report::legend(&arguments.policies(), &seeds));
    let mut all = Vec::new();
    for scenario in scenarios {
        let policies = arguments.policies_or(scenario.compares);
        let results = runs::run_all(scenario, &policies, &seeds, arguments.threads());
        match scenario.trouble {
            Trouble::Day => println!("{}", day::table(&results)),
            _ => println!("{}", report::table(&results)),
        }
        all.push(results);
    }
    println!(
        "{}",
        verdict::table(all.iter().flat_map(verdicts::judge).collect()).trim_end()
    );
    if let Some(directory) = &arguments.plots {
        plot::write(directory, &all)?;
    }
    Ok(())
}

/// How to read it.
const PREAMBLE: &str = "\
# How well timeouts are chosen

Printed, and drawn, by one run of `cargo bench -p benches --bench timeouts -- --seeds 10 --plots docs/evaluation`. What it means is in
[the evaluation](../evaluation.md#timeouts).

Poisson load in virtual time on a service that takes 15 ms in the median (log-normal, sigma 0.8: p99 96 ms, p99.9 178 ms) unless it says
otherwise. *False* and the columns in per cent: requests that would have been answered and were cut off. *Wait*: the limit that is in force,
which is what a hung request waits, in multiples of the true p99.9 of that moment; *before* the trouble, *later* in it (from 10 s on; at a request
a second from 60 s on), and *after* it, from as long on. *Up*: until no more than 1 % are cut off for five seconds. *Down*: until the limits of a second
are within 1.5 times the true p99.9 (3 times, at a request a second). Each seed of a `rare` scenario is the mean of 30 runs. Where there are more than
10,000 requests a second, one of some is measured.
";

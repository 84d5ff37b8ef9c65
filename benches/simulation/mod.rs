//! What the simulators share: the command line, runs on a few threads, tables, marks and charts.
//!
//! A simulator is a [`Scenario`]: what happens, the policies that are compared in it, and the
//! figures of a run. [`main`] does the rest.
#![allow(clippy::print_stdout, reason = "a bench prints its results")]

pub mod chart;
mod cli;
mod figure;
mod report;
mod runs;
mod statistics;
mod verdict;

use std::{error::Error, fmt, io, path::Path, process::ExitCode};

use clap::Parser as _;

pub use self::{
    figure::Figure,
    runs::{Measured, Results, on_threads, run_all},
    statistics::Estimate,
    verdict::Verdict,
};

/// A situation that policies are compared in.
pub trait Scenario: Sync + Sized + 'static {
    /// Who is compared.
    type Policy: Policy;
    /// What is measured.
    type Figure: Figure;

    /// All, in the order of the report.
    const ALL: &'static [Self];

    /// As it is asked for.
    fn name(&self) -> &'static str;

    /// In a few words.
    fn about(&self) -> &'static str;

    /// One run, which follows from the seed.
    fn run(&self, policy: Self::Policy, seed: u64) -> Figures<Self>;

    /// Whether ours does what it should, as far as the policies that ran can tell.
    fn judge(results: &Results<'_, Self>) -> Vec<Verdict>;

    /// Writes charts into a directory.
    ///
    /// # Errors
    ///
    /// The directory or a file cannot be written.
    fn plot(directory: &Path, all: &[Results<'_, Self>]) -> io::Result<()>;

    /// The one of this name, and those whose names go on after a `-`.
    fn named(name: &str) -> Vec<&'static Self> {
        let is_meant = |scenario: &&Self| {
            let rest = scenario.name().strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        Self::ALL.iter().filter(is_meant).collect()
    }

    /// What theory says, and whether the simulator says so too, if there is a theory.
    fn theory(_threads: usize) -> Option<Theory> {
        None
    }
}

/// Somebody who is compared.
pub trait Policy: Copy + Eq + fmt::Debug + Send + Sync + 'static {
    /// Those that are compared.
    const ALL: &'static [Self];

    /// What else there is to ask for.
    const MORE: &'static [Self];

    /// As it is asked for, and in the tables.
    fn name(self) -> &'static str;

    /// In a few words.
    fn about(self) -> &'static str;
}

/// What a run of a scenario came to.
pub type Figures<S> = <<S as Scenario>::Figure as Figure>::Run;

/// A number of theory's, beside what was simulated: a line of a table.
pub trait Compared: fmt::Display {
    /// Whether they are near enough to each other.
    fn holds(&self) -> bool;
}

/// A table of what was compared.
#[derive(Debug)]
pub struct Theory {
    heading: &'static str,
    lines: Vec<String>,
    holds: bool,
}

impl Theory {
    /// `heading` is the two lines above.
    pub fn new(heading: &'static str, compared: &[impl Compared]) -> Self {
        Self {
            heading,
            lines: compared.iter().map(ToString::to_string).collect(),
            holds: compared.iter().all(Compared::holds),
        }
    }
}

/// The `main` of a simulator: prints what the command line asks for.
pub fn main<S: Scenario>() -> ExitCode {
    let arguments = cli::Arguments::<S::Policy>::parse();
    match report_on::<S>(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn report_on<S: Scenario>(arguments: &cli::Arguments<S::Policy>) -> Result<(), Box<dyn Error>> {
    let scenarios = arguments.scenarios::<S>()?;
    if arguments.checks_theory() {
        check_theory::<S>(arguments.threads())?;
    }
    let (policies, seeds) = (arguments.policies(), arguments.seeds());
    println!("{}", report::legend(&policies, &seeds));
    let mut all = Vec::new();
    for scenario in scenarios {
        let results = run_all(scenario, &policies, &seeds, arguments.threads());
        println!("{}", report::table(&results));
        all.push(results);
    }
    let verdicts = all.iter().flat_map(S::judge).collect();
    println!("{}", verdict::table(verdicts));
    if let Some(directory) = &arguments.plots {
        S::plot(directory, &all)?;
    }
    Ok(())
}

fn check_theory<S: Scenario>(threads: usize) -> Result<(), Box<dyn Error>> {
    let Some(theory) = S::theory(threads) else {
        return Ok(());
    };
    println!("{}\n{}\n", theory.heading, theory.lines.join("\n"));
    match theory.holds {
        true => Ok(()),
        false => Err("the simulator is not what theory says".into()),
    }
}

//! How well balancers balance: open-loop load in virtual time, with the balancers themselves and
//! not models of them. `cargo bench -p benches --bench simulator -- --help`.
//!
//! A run is a pure function of scenario, policy and seed, as far as a policy lets its own choices
//! be seeded, and takes no real time but its computing. [`scenarios`] is the table of situations,
//! [`policy`] that of balancers, [`world`] the loop.
#![forbid(unsafe_code)]

mod endpoint;
mod event;
mod figure;
mod models;
mod parts;
mod plot;
mod policy;
mod real;
mod record;
mod scenario;
mod scenarios;
mod server;
mod tasks;
mod theory;
mod verdicts;
mod world;

use std::process::ExitCode;

use benches::simulation;

fn main() -> ExitCode {
    simulation::main::<scenario::Scenario>()
}

//! What clients do to a server that they have all lost at one moment: 10,000 of them in virtual
//! time, with the reconnecting layers themselves where they are Rust, and models of the backoffs
//! of others. `cargo bench -p benches --bench reconnects -- --help`.
//!
//! [`scenarios`] is the table of troubles, [`policy`] that of clients, [`world`] a run.
#![forbid(unsafe_code)]

mod clients;
mod endpoint;
mod figure;
mod models;
mod parts;
mod plot;
mod policy;
mod record;
mod scenario;
mod scenarios;
mod theory;
mod verdicts;
mod world;

use std::process::ExitCode;

use benches::simulation;

fn main() -> ExitCode {
    simulation::main::<scenario::Scenario>()
}

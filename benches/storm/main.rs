//! What retries do to a server in trouble: open-loop load in virtual time, with the retry layers
//! themselves where they are Rust, and models of their rules where they are not.
//! `cargo bench -p benches --bench storm -- --help`.
//!
//! The loop and the server are the balancer simulator's. [`scenarios`] is the table of troubles,
//! [`policy`] that of retry policies.
#![forbid(unsafe_code)]
#![allow(dead_code, reason = "the balancer's simulator uses the rest")]

#[path = "../simulator/endpoint.rs"]
mod endpoint;
#[path = "../simulator/event.rs"]
mod event;
mod figure;
mod models;
mod parts;
mod plot;
mod policy;
mod real;
mod record;
mod rules;
#[path = "../simulator/scenario.rs"]
mod scenario;
mod scenarios;
#[path = "../simulator/server.rs"]
mod server;
#[path = "../simulator/tasks.rs"]
mod tasks;
mod theory;
mod verdicts;
#[path = "../simulator/world.rs"]
mod world;

use std::process::ExitCode;

use benches::simulation;

fn main() -> ExitCode {
    simulation::main::<scenario::Scenario>()
}

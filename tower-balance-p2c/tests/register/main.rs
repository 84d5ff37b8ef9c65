//! Ejection, probes and probation as a pure core: time and chance come in.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "../../src/flights.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod flights;
#[path = "../../src/health/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "as the crate has it"
)]
mod health;
#[path = "../../src/outcomes.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod outcomes;
#[path = "../support/patient.rs"]
mod patient;
#[path = "../../src/sync.rs"]
mod sync;

mod histories;
mod joining;
mod lengths;
mod many;
mod probing;
mod reasons;

use std::sync::Arc;

use health::{Register, State};
use patient::{Patient, around, fail};

/// Fails until it is ejected, and returns how often that was.
fn eject(register: &Register<Patient>, endpoint: &Arc<Patient>, now: u64) -> u32 {
    for failures in 1..100 {
        fail(register, endpoint, around(now));
        if endpoint.state() == State::Ejected {
            return failures;
        }
    }
    panic!("never ejected");
}

//! What the register is told, and what it answers.

use super::{EjectionReason, Probe};

/// What has become of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Report {
    Ejected {
        reason: EjectionReason,
        nanos: u64,
    },
    /// It should have been ejected, but too many are.
    Spared(EjectionReason),
    /// The probe went well: on probation.
    Readmitted,
    Recovered,
}

/// What the rest of the pool looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings {
    pub(crate) now: u64,
    /// The share of requests that fail at the median endpoint.
    pub(crate) failing: f64,
    /// Requests a second.
    pub(crate) rate: f64,
    /// Uniform from 0 to 1.
    pub(crate) chance: f64,
}

/// Which request of an endpoint it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// How often the endpoint had been ejected before.
    pub(crate) ejections: u32,
    /// Where it is one.
    pub(crate) probe: Option<Probe>,
}

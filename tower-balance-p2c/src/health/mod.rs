//! Which endpoints get requests at all: ejection, probes and re-admission.

mod case;
mod cases;
mod evidence;
mod owed;
mod register;
mod report;
mod settings;
mod standing;

pub use self::evidence::EjectionReason;
pub(crate) use self::{
    cases::Releases,
    register::{Member, Register},
    report::{Report, Surroundings, Ticket},
    settings::EjectionNanos,
    standing::{Probe, Spared, Standing, State},
};

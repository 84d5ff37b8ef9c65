//! Which endpoints get requests at all: ejection, probes and re-admission.

mod case;
mod ejection;
mod evidence;
mod register;
mod standing;

pub use self::{ejection::Ejection, evidence::EjectionReason};
pub(crate) use self::{
    ejection::EjectionNanos,
    register::{Member, Register, Report, Surroundings, Ticket},
    standing::{Standing, State},
};

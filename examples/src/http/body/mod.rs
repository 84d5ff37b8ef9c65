//! The bodies that pass through, each frame by frame: nothing here buffers.

mod client;
mod expectation;
mod idle;
mod response;

pub use self::{
    client::{BodyFate, ClientBody, ClientBodyError},
    expectation::Expectation,
    idle::{IdleBody, Paused},
    response::{Overdue, ResponseBody},
};

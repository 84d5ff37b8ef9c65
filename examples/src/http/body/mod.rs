//! The bodies that pass through, each frame by frame: nothing here buffers.

mod client;
mod idle;
mod response;

pub use self::{
    client::{BodyFate, ClientBody, ClientBodyError},
    idle::{IdleBody, Paused},
    response::ResponseBody,
};

//! The futures of the services, by name.

mod accept;
mod connect;
mod linger;

pub use self::{accept::AcceptFuture, connect::ConnectFuture};
pub use crate::authorize::ResponseFuture;

//! What the proxy does to HTTP messages: bodies with limits, fields of one hop, what endpoints are told of
//! the client, answers of its own.

pub mod body;
pub mod forward;
pub mod forwarded;
pub mod interim;
pub mod refusal;

/// In a request's extensions: its `grpc-timeout` may also be longer than its route's timeout.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineTrusted;

//! What the proxy does to HTTP messages: bodies with limits, fields of one hop, answers of its own.

pub mod body;
pub mod forward;
pub mod interim;
pub mod refusal;

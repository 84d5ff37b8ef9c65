//! What the proxy does to HTTP messages: bodies with limits, fields of one hop, what endpoints are told of
//! the client, answers of its own.

use ::http::{HeaderMap, HeaderName};

pub mod body;
mod client_certificate;
pub mod forward;
pub mod forwarded;
pub mod interim;
pub mod refusal;

/// In a request's extensions: its `grpc-timeout` may also be longer than its route's timeout.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineTrusted;

/// What one stream of HTTP/2 may have in flight, in bytes, on either side: what is taken from one is
/// given to the other. Enough for 1 Gbit/s at 2 ms.
pub(crate) const STREAM_WINDOW: u32 = 256 * 1024;

/// What all streams of a connection may have in flight together, in bytes.
pub(crate) const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// The members of a field's comma-separated lists, in all its lines.
pub(crate) fn list<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let lines = headers.get_all(name).iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
}

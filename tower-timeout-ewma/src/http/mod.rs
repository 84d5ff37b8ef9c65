//! For `http`: bodies with limits, settings in extensions, answers instead of errors, and which
//! responses are samples.

mod body;
mod body_limit;
mod extensions;
mod gateway_timeout;

use ::http::{HeaderMap, HeaderName, Response, StatusCode};

pub(crate) use self::gateway_timeout::is_grpc;
pub use self::{
    body::{BodyIdle, TimedBody, WholeBody},
    extensions::{InExtensions, UntilDeadline},
    gateway_timeout::{GatewayTimeout, GatewayTimeoutAnswer},
};
use crate::Classify;

/// Responses that the server worked for are samples: failures, which may come much faster, are
/// not.
///
/// Failures are the statuses 5xx and 429, and gRPC responses whose head says UNKNOWN (2),
/// DEADLINE_EXCEEDED (4), RESOURCE_EXHAUSTED (8), INTERNAL (13), UNAVAILABLE (14) or DATA_LOSS
/// (15), and those that are [`Ambiguous`]. A gRPC status that comes in trailers, after messages, is
/// seen by [`WholeBody`] only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServedOnly;

impl<B> Classify<Response<B>> for ServedOnly {
    fn is_sample(&self, response: &Response<B>) -> bool {
        let status = response.status();
        !status.is_server_error()
            && status != StatusCode::TOO_MANY_REQUESTS
            && !says_failure(response.headers())
            && response.extensions().get::<Ambiguous>().is_none()
    }
}

/// In a response's extensions: nobody can tell which of several attempts it answers, or its latency
/// is that of more than one. To [`ServedOnly`] it is no sample (Karn's rule).
///
/// For a layer between, such as a retry below the timeout, to put there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ambiguous;

/// Whether headers or trailers have a gRPC status that is the server's failure.
fn says_failure(fields: &HeaderMap) -> bool {
    let status = fields.get(GRPC_STATUS);
    status.is_some_and(|status| GRPC_FAILURES.contains(&status.as_bytes()))
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_FAILURES: [&[u8]; 6] = [b"2", b"4", b"8", b"13", b"14", b"15"];

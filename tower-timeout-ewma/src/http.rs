//! Which `http` responses are samples.

use ::http::{HeaderName, Response, StatusCode};

use crate::Classify;

/// Responses that the server worked for are samples: failures, which may come much faster, are
/// not.
///
/// Failures are the statuses 5xx and 429, and gRPC responses whose head says UNKNOWN (2),
/// DEADLINE_EXCEEDED (4), RESOURCE_EXHAUSTED (8), INTERNAL (13), UNAVAILABLE (14) or DATA_LOSS
/// (15). A gRPC status that comes in trailers, after messages, is not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServedOnly;

impl<B> Classify<Response<B>> for ServedOnly {
    fn is_sample(&self, response: &Response<B>) -> bool {
        let status = response.status();
        let grpc_status = response.headers().get(GRPC_STATUS);
        !status.is_server_error()
            && status != StatusCode::TOO_MANY_REQUESTS
            && !grpc_status.is_some_and(|status| GRPC_FAILURES.contains(&status.as_bytes()))
    }
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_FAILURES: [&[u8]; 6] = [b"2", b"4", b"8", b"13", b"14", b"15"];

use std::time::Duration;

use http::{HeaderMap, Response, StatusCode};

use super::pushback::pushback;
use crate::{Classify, Outcome};

/// Failures are errors, the statuses 5xx and 429, and gRPC responses whose head says UNKNOWN (2),
/// DEADLINE_EXCEEDED (4), RESOURCE_EXHAUSTED (8), INTERNAL (13), UNAVAILABLE (14) or DATA_LOSS
/// (15). A gRPC status that comes in trailers, after messages, is seen by
/// [`AtEndOfBody`](super::AtEndOfBody).
///
/// `grpc-retry-pushback-ms` and `retry-after` (seconds or a date) are [respected](Outcome::Pushback)
/// where the answer is 503 or the gRPC status UNAVAILABLE. Where it is 429 or RESOURCE_EXHAUSTED,
/// which may be meant for one client only, they are [respected](Outcome::Throttled) if the endpoint
/// says so to many.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpClassify;

impl<B, E> Classify<Response<B>, E> for HttpClassify {
    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        match result {
            Ok(response) => outcome_of_head(response.status(), response.headers()),
            Err(_) => Outcome::Failure,
        }
    }
}

fn outcome_of_head(status: StatusCode, fields: &HeaderMap) -> Outcome {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => busy(fields, Outcome::Pushback),
        StatusCode::TOO_MANY_REQUESTS => busy(fields, Outcome::Throttled),
        status if status.is_server_error() => Outcome::Failure,
        _ => outcome_of_trailers(fields),
    }
}

/// By the gRPC status, if there is one.
pub(super) fn outcome_of_trailers(fields: &HeaderMap) -> Outcome {
    match fields.get("grpc-status").map(http::HeaderValue::as_bytes) {
        Some(b"14") => busy(fields, Outcome::Pushback),
        Some(b"8") => busy(fields, Outcome::Throttled),
        Some(b"2" | b"4" | b"13" | b"15") => Outcome::Failure,
        _ => Outcome::Success,
    }
}

fn busy(fields: &HeaderMap, asks: fn(Duration) -> Outcome) -> Outcome {
    pushback(fields).map_or(Outcome::Failure, asks)
}

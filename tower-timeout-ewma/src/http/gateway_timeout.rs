use ::http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE,
};

use super::GRPC_STATUS;
use crate::{
    Scope,
    respond::{Answer, Respond, TimedOut},
};

/// Answers what timed out with status 504; a gRPC request with `DEADLINE_EXCEEDED`, in a response
/// that has only headers. Where the service was not ready in time these are 503 and `UNAVAILABLE`,
/// which say that nothing was done.
///
/// The body is the default one, which should be empty.
///
/// ```
/// use tower_timeout_ewma::{http::GatewayTimeout, respond::RespondLayer};
///
/// let layer = RespondLayer::new(GatewayTimeout);
/// # let _ = layer;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GatewayTimeout;

impl<B, B2: Default> Respond<Request<B>, Response<B2>> for GatewayTimeout {
    type Answer = GatewayTimeoutAnswer;

    fn prepare(&self, request: &Request<B>) -> GatewayTimeoutAnswer {
        GatewayTimeoutAnswer {
            is_grpc: is_grpc(request.headers()),
        }
    }
}

/// The answer of [`GatewayTimeout`] to one request.
#[derive(Clone, Copy, Debug)]
pub struct GatewayTimeoutAnswer {
    is_grpc: bool,
}

impl<B: Default> Answer<Response<B>> for GatewayTimeoutAnswer {
    fn answer(self, why: TimedOut) -> Response<B> {
        let was_sent =
            !matches!(why, TimedOut::Elapsed(elapsed) if elapsed.scope() == Scope::Readiness);
        let mut response = Response::new(B::default());
        if self.is_grpc {
            let (status, message) = match was_sent {
                true => ("4", "the answer took too long"),
                false => ("14", "the service was not ready in time"),
            };
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.insert(GRPC_STATUS, HeaderValue::from_static(status));
            headers.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
        } else {
            *response.status_mut() = match was_sent {
                true => StatusCode::GATEWAY_TIMEOUT,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
        }
        response
    }
}

/// Whether the content type is gRPC's, not that of gRPC-Web, which has its status elsewhere.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|value| {
        let (start, rest) = value.split_at(value.len().min(GRPC.len()));
        start.eq_ignore_ascii_case(GRPC) && rest.first() != Some(&b'-')
    })
}

const GRPC: &[u8] = b"application/grpc";
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

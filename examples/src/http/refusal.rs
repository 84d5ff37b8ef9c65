//! The proxy's own answers: a status, a reason that machines can read (RFC 9209), one line of text.

use std::error::Error;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use tower_balance_p2c::error::{self, NoEndpoint};
use tower_mtls::error::Denied;
use tower_retry_budget::error::Held;
use tower_timeout_ewma::error::{Elapsed, Expired};

use super::body::{ClientBodyError, Overdue, Paused, ResponseBody};
use crate::{
    endpoint::{Ended, NoFreeConnection, TooManyPending},
    route::Unroutable,
    telemetry::Limit,
};

/// Why the proxy answers by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request breaks the protocol or can be read in two ways.
    Malformed(&'static str),
    /// The client's identity is not allowed.
    NotAllowed,
    /// The head took too long.
    SlowHead,
    /// The head has too many bytes, or more fields than can be read.
    HeadTooLarge,
    /// The target has too many bytes.
    UriTooLong,
    /// No route takes the request.
    NoRoute,
    /// No route is for the authority that was asked for.
    Misdirected,
    /// The body paused for too long.
    SlowBody,
    /// The body is over the limit.
    BodyTooLarge,
    /// Too many header fields.
    TooManyFields,
    /// A method that this proxy does not carry.
    NotImplemented,
    /// It has passed here too often.
    Loop,
    /// More requests in flight than the limit.
    Overloaded,
    /// More requests wait for a connection to an endpoint than the limit, or for too long.
    QueueFull,
    /// The cluster has no endpoint at all.
    NoEndpoint,
    /// No endpoint was ready within the bound.
    NotReady,
    /// Those that were ready are left alone because of their failures.
    Ejected,
    /// Held back, because the endpoints accept too few requests.
    HeldBack,
    /// The endpoint broke off before it answered.
    Broke,
    /// The endpoint's answer took too long.
    TimedOut,
}

/// What each refusal says: HTTP status, gRPC code, `proxy-status` error, text.
struct Words(StatusCode, u8, &'static str, &'static str);

impl Refusal {
    /// Finds the reason in an error and its sources.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(known) = Self::of_one(error) {
                return known;
            }
            cause = error.source();
        }
        Self::Broke
    }

    /// Whether what follows on the same HTTP/1 connection cannot be trusted.
    pub fn closes(self) -> bool {
        matches!(self, Self::Malformed(_) | Self::NotImplemented)
    }

    /// Whether the client itself is the reason.
    fn is_clients_fault(self) -> bool {
        matches!(
            self,
            Self::Malformed(_) | Self::SlowBody | Self::BodyTooLarge
        )
    }

    fn of_one(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(error) = error.downcast_ref::<ClientBodyError>() {
            return Some(match error {
                ClientBodyError::TooLarge { .. } => Self::BodyTooLarge,
                ClientBodyError::Paused(_) => Self::SlowBody,
                ClientBodyError::Broken(_) | ClientBodyError::Reset => {
                    Self::Malformed("the body broke off")
                }
            });
        }
        if let Some(error) = error.downcast_ref::<Unroutable>() {
            return Some(error.refusal());
        }
        if error.is::<TooManyPending>() || error.is::<NoFreeConnection>() {
            return Some(Self::QueueFull);
        }
        if let Some(error) = error.downcast_ref::<NoEndpoint>() {
            return Some(match error.reason() {
                error::Reason::Empty => Self::NoEndpoint,
                error::Reason::Ejected => Self::Ejected,
                _ => Self::NotReady,
            });
        }
        if error.is::<Held>() {
            return Some(Self::HeldBack);
        }
        if error.is::<Ended>() {
            return Some(Self::NotReady);
        }
        let is_late = error.is::<Elapsed>() || error.is::<Expired>();
        if is_late || error.is::<Paused>() || error.is::<Overdue>() {
            return Some(Self::TimedOut);
        }
        error.is::<Denied>().then_some(Self::NotAllowed)
    }

    /// The key of `[limits]` that a request's head has reached. Bodies tell by themselves.
    pub(crate) fn limit(self) -> Option<Limit> {
        match self {
            Self::Overloaded => Some(Limit::Requests),
            Self::HeadTooLarge | Self::UriTooLong => Some(Limit::HeaderBytes),
            Self::TooManyFields => Some(Limit::HeaderCount),
            _ => None,
        }
    }

    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        self.words().0
    }

    /// The line of text.
    pub fn text(self) -> &'static str {
        self.words().3
    }

    /// The value of `proxy-status`.
    pub fn proxy_status(self) -> String {
        let Words(_, _, error, text) = self.words();
        format!("proxy; error={error}; details=\"{text}\"")
    }

    /// The trailers that end a gRPC response which broke off.
    pub fn trailers(self) -> HeaderMap {
        let mut trailers = HeaderMap::with_capacity(2);
        self.write_grpc_status(&mut trailers);
        if self == Self::Broke {
            let text = HeaderValue::from_static("the endpoint broke its answer off");
            trailers.insert("grpc-message", text);
        }
        trailers
    }

    fn write_grpc_status(self, fields: &mut HeaderMap) {
        let Words(_, code, _, text) = self.words();
        fields.insert("grpc-status", HeaderValue::from(u16::from(code)));
        fields.insert("grpc-message", HeaderValue::from_static(text));
    }

    /// The whole answer, in the client's own language: gRPC for gRPC, HTTP for the rest.
    pub fn response<B>(self, grpc: bool) -> Response<ResponseBody<B>> {
        let Words(status, _, _, text) = self.words();
        let mut response = if grpc {
            let mut response = Response::new(ResponseBody::own(""));
            let headers = response.headers_mut();
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/grpc"),
            );
            self.write_grpc_status(headers);
            response
        } else {
            let mut response = Response::new(ResponseBody::own(format!("{text}\n")));
            *response.status_mut() = status;
            let plain = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, plain);
            response
        };
        if let Ok(value) = HeaderValue::from_maybe_shared(self.proxy_status()) {
            response.headers_mut().insert("proxy-status", value);
        }
        response
    }

    fn words(self) -> Words {
        match self {
            Self::Malformed(text) => Words(
                StatusCode::BAD_REQUEST,
                INTERNAL,
                "http_request_error",
                text,
            ),
            Self::NotAllowed => Words(
                StatusCode::FORBIDDEN,
                PERMISSION_DENIED,
                "http_request_denied",
                "this identity is not allowed here",
            ),
            Self::SlowHead => Words(
                StatusCode::REQUEST_TIMEOUT,
                DEADLINE_EXCEEDED,
                "http_request_error",
                "the head of the request took too long",
            ),
            Self::HeadTooLarge => Words(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                RESOURCE_EXHAUSTED,
                "http_request_error",
                "the head of the request is too large",
            ),
            Self::UriTooLong => Words(
                StatusCode::URI_TOO_LONG,
                RESOURCE_EXHAUSTED,
                "http_request_error",
                "the target of the request is too long",
            ),
            Self::NoRoute => Words(
                StatusCode::NOT_FOUND,
                UNIMPLEMENTED,
                "destination_not_found",
                "no route takes this request",
            ),
            // Not denied by a policy, but unknown: an operator who adds the host has mended it. A
            // gRPC client shall not come back to the wrong door, as UNAVAILABLE would make it.
            Self::Misdirected => Words(
                StatusCode::MISDIRECTED_REQUEST,
                UNIMPLEMENTED,
                "destination_not_found",
                "this authority is not served here",
            ),
            Self::SlowBody => Words(
                StatusCode::REQUEST_TIMEOUT,
                DEADLINE_EXCEEDED,
                "http_request_error",
                "the request's body stopped for too long",
            ),
            Self::BodyTooLarge => Words(
                StatusCode::PAYLOAD_TOO_LARGE,
                RESOURCE_EXHAUSTED,
                "http_request_error",
                "the request's body is too large",
            ),
            Self::TooManyFields => Words(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                RESOURCE_EXHAUSTED,
                "http_request_error",
                "too many header fields",
            ),
            Self::NotImplemented => Words(
                StatusCode::NOT_IMPLEMENTED,
                UNIMPLEMENTED,
                "http_request_error",
                "this method is not carried here",
            ),
            Self::Loop => Words(
                StatusCode::LOOP_DETECTED,
                INTERNAL,
                "proxy_loop_detected",
                "this request goes round in circles",
            ),
            Self::Overloaded => Words(
                StatusCode::SERVICE_UNAVAILABLE,
                UNAVAILABLE,
                "connection_limit_reached",
                "too many requests in flight",
            ),
            Self::QueueFull => Words(
                StatusCode::SERVICE_UNAVAILABLE,
                UNAVAILABLE,
                "connection_limit_reached",
                "too many requests wait for an endpoint",
            ),
            Self::NoEndpoint => unavailable("there is no endpoint for this request"),
            Self::NotReady => unavailable("no endpoint was ready in time"),
            Self::Ejected => unavailable("every ready endpoint is ejected for its failures"),
            Self::HeldBack => unavailable("held back: the endpoints accept too few requests"),
            Self::Broke => Words(
                StatusCode::BAD_GATEWAY,
                UNAVAILABLE,
                "connection_terminated",
                "the endpoint broke off before it answered",
            ),
            Self::TimedOut => Words(
                StatusCode::GATEWAY_TIMEOUT,
                DEADLINE_EXCEEDED,
                "http_response_timeout",
                "the answer took too long",
            ),
        }
    }
}

fn unavailable(text: &'static str) -> Words {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Words(status, UNAVAILABLE, "destination_unavailable", text)
}

/// Whether an error comes from the client's own request.
pub fn is_clients_fault(error: &(dyn Error + 'static)) -> bool {
    Refusal::of(error).is_clients_fault()
}

// Status codes of gRPC.
const DEADLINE_EXCEEDED: u8 = 4;
const PERMISSION_DENIED: u8 = 7;
const RESOURCE_EXHAUSTED: u8 = 8;
const UNIMPLEMENTED: u8 = 12;
const INTERNAL: u8 = 13;
const UNAVAILABLE: u8 = 14;

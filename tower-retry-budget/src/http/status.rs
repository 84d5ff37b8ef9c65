//! Rules by method and status.

use std::time::Duration;

use ::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header::RETRY_AFTER,
};

use super::delay;
use crate::policy::{Policy, Verdict};

/// Retries idempotent methods on errors and on the statuses of an overloaded or absent server.
///
/// | outcome | verdict |
/// | --- | --- |
/// | an error | retry |
/// | one of [`statuses`](Self::statuses) | retry |
/// | `grpc-status` 14 in the headers | retry |
/// | another 5xx, 429, another `grpc-status` that blames the server | failure |
/// | anything else | success |
///
/// A gRPC call is a `POST`, so it is retried only if [`methods`](Self::methods) include `POST`.
/// Only a `grpc-status` in the headers counts (an answer without a body); one in the trailers
/// arrives after the answer has been passed on.
///
/// What the server asks for is honoured: `retry-after` in seconds and `grpc-retry-pushback-ms`
/// are waited for. If they ask for more than [`max_after`](Self::max_after), or cannot be read
/// as a number (a date, a negative pushback), the answer is returned and not retried: earlier
/// would be too early.
///
/// It knows nothing of errors. A policy of your own around it can tell which of your client's say
/// that a request was [not processed](Verdict::Unprocessed):
///
/// ```
/// use http::{Request, Response};
/// use tower_retry_budget::{Policy, Verdict, http::StatusPolicy};
///
/// # #[derive(Debug)]
/// # enum ClientError { RefusedStream, Other }
/// struct Rules(StatusPolicy);
///
/// impl<B, B2> Policy<Request<B>, Response<B2>, ClientError> for Rules {
///     fn retryable(&self, request: &Request<B>) -> bool {
///         Policy::<_, Response<B2>, ClientError>::retryable(&self.0, request)
///     }
///
///     fn resendable(&self, _: &Request<B>) -> bool {
///         true
///     }
///
///     fn classify(&self, result: Result<&Response<B2>, &ClientError>) -> Verdict {
///         match result {
///             Err(ClientError::RefusedStream) => Verdict::Unprocessed,
///             result => Policy::<Request<B>, _, _>::classify(&self.0, result),
///         }
///     }
/// }
/// # let refused = Err::<&Response<()>, _>(&ClientError::RefusedStream);
/// # let rules = Rules(StatusPolicy::new());
/// # assert_eq!(Policy::<Request<()>, _, _>::classify(&rules, refused), Verdict::Unprocessed);
/// # let other = Err::<&Response<()>, _>(&ClientError::Other);
/// # assert_ne!(Policy::<Request<()>, _, _>::classify(&rules, other), Verdict::Unprocessed);
/// ```
#[derive(Clone, Debug)]
pub struct StatusPolicy {
    methods: Vec<Method>,
    statuses: Vec<StatusCode>,
    max_after: Duration,
}

impl StatusPolicy {
    /// The default rules.
    pub fn new() -> Self {
        Self {
            methods: vec![
                Method::GET,
                Method::HEAD,
                Method::OPTIONS,
                Method::PUT,
                Method::DELETE,
                Method::TRACE,
            ],
            statuses: vec![
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ],
            max_after: Duration::from_secs(10),
        }
    }

    /// Methods that may be sent twice.
    /// Default: `GET`, `HEAD`, `OPTIONS`, `PUT`, `DELETE`, `TRACE`, the idempotent ones of
    /// RFC 9110.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = methods.into_iter().collect();
        self
    }

    /// Statuses that are retried. Default: 502, 503, 504.
    #[must_use]
    pub fn statuses(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.statuses = statuses.into_iter().collect();
        self
    }

    /// The longest wait that a server may ask for. Default 10 seconds, no bound.
    #[must_use]
    pub fn max_after(mut self, max_after: Duration) -> Self {
        self.max_after = max_after;
        self
    }

    fn judge(&self, status: StatusCode, headers: &HeaderMap) -> Verdict {
        if self.statuses.contains(&status) {
            return self.retry(headers);
        }
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Verdict::Failure;
        }
        match headers.get(GRPC_STATUS).map(HeaderValue::as_bytes) {
            None => Verdict::Success,
            Some(b"14") => self.retry(headers),
            Some(code) if SERVED.contains(&code) => Verdict::Success,
            Some(_) => Verdict::Failure,
        }
    }

    fn retry(&self, headers: &HeaderMap) -> Verdict {
        let retry_after = headers.get_all(RETRY_AFTER).into_iter();
        let pushback = headers.get_all(GRPC_RETRY_PUSHBACK_MS).into_iter();
        let asked = retry_after
            .map(|value| delay::retry_after(value.as_bytes()))
            .chain(pushback.map(|value| delay::pushback(value.as_bytes())));
        let mut after = None;
        for delay in asked {
            match delay {
                Some(delay) if delay <= self.max_after => after = after.max(Some(delay)),
                _ => return Verdict::Failure,
            }
        }
        Verdict::retry().after(after)
    }
}

impl Default for StatusPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl<B, B2, E> Policy<Request<B>, Response<B2>, E> for StatusPolicy {
    fn retryable(&self, request: &Request<B>) -> bool {
        self.methods.contains(request.method())
    }

    fn classify(&self, result: Result<&Response<B2>, &E>) -> Verdict {
        match result {
            Ok(response) => self.judge(response.status(), response.headers()),
            Err(_) => Verdict::retry(),
        }
    }
}

/// Codes with which a server has done its work: OK, and those that blame the caller
/// (`INVALID_ARGUMENT`, `NOT_FOUND`, `ALREADY_EXISTS`, `PERMISSION_DENIED`,
/// `FAILED_PRECONDITION`, `OUT_OF_RANGE`, `UNAUTHENTICATED`).
const SERVED: [&[u8]; 8] = [b"0", b"3", b"5", b"6", b"7", b"9", b"11", b"16"];

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

const GRPC_RETRY_PUSHBACK_MS: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

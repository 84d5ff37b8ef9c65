//! Rules for gRPC.

use std::time::Duration;

use ::http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE,
};

use super::{
    code::{Codes, GrpcCode},
    delay::delayed,
    gate::{Gate, NoOther, has_idempotency_key},
    peek::PeekedTrailers,
    status::{kind, mark},
};
use crate::policy::{Policy, Refusal, Verdict};

/// Retries the calls of a gRPC client that may be sent twice, on the codes of an absent server.
///
/// | outcome | verdict |
/// | --- | --- |
/// | an error | retry |
/// | HTTP status 429, 502, 503 or 504, which say `UNAVAILABLE` | as that code |
/// | one of [`codes`](Self::codes) in the headers, or in trailers that [were peeked](super::PeekTrailersLayer) | retry |
/// | another of `DEADLINE_EXCEEDED`, `RESOURCE_EXHAUSTED`, `UNAVAILABLE` | retry, but unwanted |
/// | another code that blames the server, another HTTP status than 200 | failure |
/// | `OK`, a code that blames the caller, or none | success |
///
/// `RESOURCE_EXHAUSTED` is [`Kind::Throttled`](crate::Kind::Throttled) and `DEADLINE_EXCEEDED` is [`Kind::Timeout`](crate::Kind::Timeout).
///
/// Every call is a `POST`, so none may be sent twice unless this is told which:
///
/// ```
/// use http::Request;
/// use tower_retry_budget::http::{GrpcCode, GrpcPolicy};
///
/// let policy = GrpcPolicy::new()
///     .codes([GrpcCode::UNAVAILABLE, GrpcCode::RESOURCE_EXHAUSTED])
///     .gate(|call: &Request<()>| call.uri().path().starts_with("/library.Catalogue/"));
/// # drop(policy);
/// ```
#[derive(Clone, Debug)]
pub struct GrpcPolicy<G = NoOther> {
    rules: Rules,
    idempotency_key: bool,
    gate: G,
}

impl GrpcPolicy {
    /// The default rules: no call may be sent twice unless it has an `idempotency-key`.
    pub fn new() -> Self {
        Self {
            rules: Rules::default(),
            idempotency_key: true,
            gate: NoOther,
        }
    }
}

impl<G> GrpcPolicy<G> {
    /// Codes that are retried. Default: `UNAVAILABLE`.
    #[must_use]
    pub fn codes(mut self, codes: impl IntoIterator<Item = GrpcCode>) -> Self {
        self.rules.codes = Codes::of(codes);
        self
    }

    /// Calls that may be sent twice: any `Fn(&Request<B>) -> bool`. Default: none.
    #[must_use]
    pub fn gate<H>(self, gate: H) -> GrpcPolicy<H> {
        GrpcPolicy {
            rules: self.rules,
            idempotency_key: self.idempotency_key,
            gate,
        }
    }

    /// Whether a call with an `idempotency-key` in its metadata may be sent twice. Default: yes.
    #[must_use]
    pub fn idempotency_key(mut self, honoured: bool) -> Self {
        self.idempotency_key = honoured;
        self
    }

    /// The longest wait that a server may ask for. Default 10 seconds, no bound.
    #[must_use]
    pub fn max_after(mut self, max_after: Duration) -> Self {
        self.rules.max_after = Some(max_after);
        self
    }

    fn judge<B>(&self, response: &Response<B>) -> Verdict {
        if let Some(verdict) = self.rules.judge(response) {
            return verdict;
        }
        match response.status() {
            StatusCode::OK => Verdict::Success,
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => self
                .rules
                .retry(GrpcCode::UNAVAILABLE, response.headers())
                .kind(kind(response.status())),
            _ => Verdict::Failure,
        }
    }
}

impl Default for GrpcPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl<G, B, B2, E> Policy<Request<B>, Response<B2>, E> for GrpcPolicy<G>
where
    G: Gate<B>,
{
    fn retryable(&self, request: &Request<B>) -> bool {
        self.idempotency_key && has_idempotency_key(request) || self.gate.allows(request)
    }

    fn classify(&self, result: Result<&Response<B2>, &E>) -> Verdict {
        match result {
            Ok(response) => self.judge(response),
            Err(_) => Verdict::retry(),
        }
    }

    fn gave_up(&self, outcome: &mut Result<Response<B2>, E>, why: Refusal) {
        mark(outcome, why);
    }
}

/// What the codes of gRPC mean, wherever they are.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) codes: Codes,
    /// `None`: what servers ask for is not read.
    pub(super) max_after: Option<Duration>,
}

impl Rules {
    /// The verdict of a gRPC status. `None` where there is none, or none that is known by now.
    pub(super) fn judge<B>(&self, response: &Response<B>) -> Option<Verdict> {
        let headers = match response.extensions().get::<PeekedTrailers>() {
            Some(trailers) => trailers.fields(),
            None => response.headers(),
        };
        let status = headers.get(GRPC_STATUS)?;
        if !is_grpc(response.headers()) {
            return None;
        }
        let Some(code) = GrpcCode::read(status) else {
            return Some(Verdict::Failure);
        };
        Some(if self.codes.contains(code) || code.is_refusal() {
            self.retry(code, headers)
        } else if code.blames_the_caller() {
            Verdict::Success
        } else {
            Verdict::Failure
        })
    }

    fn retry(&self, code: GrpcCode, headers: &HeaderMap) -> Verdict {
        let verdict = Verdict::retry().kind(code.kind());
        if self.codes.contains(code) {
            delayed(verdict, headers, self.max_after)
        } else {
            verdict.unwanted()
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            codes: Codes::of([GrpcCode::UNAVAILABLE]),
            max_after: Some(Duration::from_secs(10)),
        }
    }
}

/// Whether these are the headers of a gRPC answer, and not of a page that has a `grpc-status`. The
/// names of media types are the same in capitals, by RFC 9110, section 8.3.1.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let split = content_type.and_then(|value| value.split_at_checked(GRPC.len()));
    split.is_some_and(|(name, rest)| {
        // `application/grpc-web` has its trailers in its body.
        let ends = matches!(rest.trim_ascii_start().first(), None | Some(b'+' | b';'));
        name.eq_ignore_ascii_case(GRPC) && ends
    })
}

const GRPC: &[u8] = b"application/grpc";

pub(super) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

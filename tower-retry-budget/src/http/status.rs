//! Rules by method and status.

use std::time::Duration;

use ::http::{Method, Request, Response, StatusCode};

use super::{
    code::{Codes, GrpcCode},
    delay::delayed,
    gate::{Gate, NoOther, SAFE, has_idempotency_key},
    grpc::Rules,
};
use crate::{
    kind::Kind,
    policy::{Policy, Refusal, Verdict},
};

/// Retries safe methods on errors and on the statuses of an overloaded or absent server.
///
/// | outcome | verdict |
/// | --- | --- |
/// | an error | retry |
/// | one of [`statuses`](Self::statuses) | retry |
/// | one of [`grpc_codes`](Self::grpc_codes) in the headers of a gRPC answer, or in trailers that [were peeked](super::PeekTrailersLayer) | retry |
/// | 429, 502, 503, 504, `DEADLINE_EXCEEDED`, `RESOURCE_EXHAUSTED` or `UNAVAILABLE` that is none of those | retry, but [unwanted](Verdict::unwanted) |
/// | another 5xx, another code of gRPC that blames the server | failure |
/// | anything else | success |
///
/// A retry after 429 and `RESOURCE_EXHAUSTED` is for a [`Kind::Throttled`], one after 504 and
/// `DEADLINE_EXCEEDED` for a [`Kind::Timeout`]; the others are [transient](Kind::Transient).
///
/// Beside the safe methods, a request may be sent twice that has an `idempotency-key`, and what a
/// [`gate`](Self::gate) lets through. A gRPC call is a `POST`: for a client that makes nothing else
/// there is [`GrpcPolicy`](super::GrpcPolicy).
///
/// What the server asks for is honoured: `retry-after`, in seconds or as a date, and
/// `grpc-retry-pushback-ms` are waited for. If they ask for more than
/// [`max_after`](Self::max_after), or cannot be read (a negative pushback), the retry is unwanted:
/// earlier would be too early. What is not retried, though the outcome called for it, is marked
/// with [`NotRetried`].
///
/// It knows nothing of errors. [`KnownErrors`](super::KnownErrors) around it does, or a policy of
/// your own, which can tell which of your client's say that a request was
/// [not processed](Verdict::Unprocessed):
///
/// ```
/// use http::{Request, Response};
/// use tower_retry_budget::{Policy, Refusal, Verdict, http::StatusPolicy};
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
///
///     fn gave_up(&self, outcome: &mut Result<Response<B2>, ClientError>, why: Refusal) {
///         Policy::<Request<B>, _, _>::gave_up(&self.0, outcome, why);
///     }
/// }
/// # let refused = Err::<&Response<()>, _>(&ClientError::RefusedStream);
/// # let rules = Rules(StatusPolicy::new());
/// # assert_eq!(Policy::<Request<()>, _, _>::classify(&rules, refused), Verdict::Unprocessed);
/// # let other = Err::<&Response<()>, _>(&ClientError::Other);
/// # assert_ne!(Policy::<Request<()>, _, _>::classify(&rules, other), Verdict::Unprocessed);
/// ```
#[derive(Clone, Debug)]
pub struct StatusPolicy<G = NoOther> {
    methods: Vec<Method>,
    statuses: Vec<StatusCode>,
    grpc: Rules,
    idempotency_key: bool,
    gate: G,
}

impl StatusPolicy {
    /// The default rules.
    pub fn new() -> Self {
        Self {
            methods: SAFE.to_vec(),
            statuses: vec![
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ],
            grpc: Rules::default(),
            idempotency_key: true,
            gate: NoOther,
        }
    }
}

impl<G> StatusPolicy<G> {
    /// Methods that may be sent twice. Default: `GET`, `HEAD`, `OPTIONS`, `TRACE`, the safe ones of
    /// RFC 9110.
    ///
    /// `PUT` and `DELETE` are idempotent there, but two of one client may be overtaken by one of
    /// another: add them where that cannot be.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = methods.into_iter().collect();
        self
    }

    /// Whether a request with an `idempotency-key` may be sent twice, whatever its method. Default:
    /// yes.
    ///
    /// Its caller says with it that the server tells the second of two apart. Say no where callers
    /// are not to be believed.
    #[must_use]
    pub fn idempotency_key(mut self, honoured: bool) -> Self {
        self.idempotency_key = honoured;
        self
    }

    /// What else may be sent twice: any `Fn(&Request<B>) -> bool`. Default: nothing.
    ///
    /// ```
    /// use http::{Method, Request};
    /// use tower_retry_budget::http::StatusPolicy;
    ///
    /// let policy = StatusPolicy::new().gate(|request: &Request<()>| {
    ///     request.method() == Method::POST && request.uri().path() == "/search"
    /// });
    /// # drop(policy);
    /// ```
    #[must_use]
    pub fn gate<H>(self, gate: H) -> StatusPolicy<H> {
        StatusPolicy {
            methods: self.methods,
            statuses: self.statuses,
            grpc: self.grpc,
            idempotency_key: self.idempotency_key,
            gate,
        }
    }

    /// Statuses that are retried. Default: 502, 503, 504.
    #[must_use]
    pub fn statuses(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.statuses = statuses.into_iter().collect();
        self
    }

    /// Codes of gRPC that are retried. Default: `UNAVAILABLE`.
    #[must_use]
    pub fn grpc_codes(mut self, codes: impl IntoIterator<Item = GrpcCode>) -> Self {
        self.grpc.codes = Codes::of(codes);
        self
    }

    /// The longest wait that a server may ask for. Default 10 seconds, no bound.
    #[must_use]
    pub fn max_after(mut self, max_after: Duration) -> Self {
        self.grpc.max_after = Some(max_after);
        self
    }

    /// Retries after the backoff alone, whatever `retry-after` and `grpc-retry-pushback-ms` say.
    ///
    /// For servers that send them without meaning them: others are called upon earlier than they
    /// can bear.
    #[must_use]
    pub fn ignore_after(mut self) -> Self {
        self.grpc.max_after = None;
        self
    }

    fn judge<B>(&self, response: &Response<B>) -> Verdict {
        let status = response.status();
        if self.statuses.contains(&status) {
            let verdict = Verdict::retry().kind(kind(status));
            return delayed(verdict, response.headers(), self.grpc.max_after);
        }
        match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Verdict::retry().kind(kind(status)).unwanted(),
            status if status.is_server_error() => Verdict::Failure,
            _ => self.grpc.judge(response).unwrap_or(Verdict::Success),
        }
    }
}

impl Default for StatusPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl<G, B, B2, E> Policy<Request<B>, Response<B2>, E> for StatusPolicy<G>
where
    G: Gate<B>,
{
    fn retryable(&self, request: &Request<B>) -> bool {
        self.methods.contains(request.method())
            || self.idempotency_key && has_idempotency_key(request)
            || self.gate.allows(request)
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

/// In the extensions of a response: it called for a retry, and got none.
///
/// Not there if the request may not be sent twice in the first place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRetried(Refusal);

impl NotRetried {
    /// Why there was none.
    pub fn why(self) -> Refusal {
        self.0
    }
}

/// An error has no place for a mark.
pub(super) fn mark<B, E>(outcome: &mut Result<Response<B>, E>, why: Refusal) {
    if let Ok(response) = outcome {
        response.extensions_mut().insert(NotRetried(why));
    }
}

pub(super) fn kind(status: StatusCode) -> Kind {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Kind::Throttled,
        StatusCode::GATEWAY_TIMEOUT => Kind::Timeout,
        _ => Kind::Transient,
    }
}

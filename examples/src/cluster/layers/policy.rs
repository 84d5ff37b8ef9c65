//! What may be sent twice, and what calls for it.

use std::error::Error;

use http::{Request, Response};
use tokio::time::Instant;
use tower_balance_p2c::error::NoEndpoint;
use tower_retry_budget::{
    Kind, Policy, Refusal, Verdict,
    http::{KnownErrors, StatusPolicy},
};
use tower_timeout_ewma::deadline::Deadline;

use super::Again;
use crate::{
    BoxError,
    endpoint::{NoFreeConnection, TooManyPending, Unprocessed},
    http::refusal,
};

/// [`StatusPolicy`] for answers, and for errors what this proxy knows of them.
///
/// | error | verdict |
/// | --- | --- |
/// | an endpoint has certainly not processed it | [`Unprocessed`](Verdict::Unprocessed): sent again whatever its method |
/// | the client spoilt its own request | [`Neutral`](Verdict::Neutral) |
/// | no endpoint, or no connection, was to be had | a failure, not retried: it has waited for one already, and more of the same is no help |
/// | a timeout | retry, [`Kind::Timeout`] |
/// | another | retry |
///
/// No attempt is sent that cannot end before the request's [`Deadline`].
#[derive(Clone, Debug)]
pub struct HttpPolicy {
    rules: KnownErrors<StatusPolicy>,
}

/// [`HttpPolicy`], but nothing is hedged that [has been sent before](Again).
#[derive(Clone, Debug)]
pub struct HedgePolicy(HttpPolicy);

impl HttpPolicy {
    /// Those rules for all else.
    pub fn new(rules: StatusPolicy) -> Self {
        Self {
            rules: KnownErrors::new(rules),
        }
    }
}

impl HedgePolicy {
    /// By the rules of the retries.
    pub fn new(policy: HttpPolicy) -> Self {
        Self(policy)
    }
}

impl<B, B2> Policy<Request<B>, Response<B2>, BoxError> for HttpPolicy {
    fn retryable(&self, request: &Request<B>) -> bool {
        Policy::<_, Response<B2>, BoxError>::retryable(&self.rules, request)
    }

    fn resendable(&self, _: &Request<B>) -> bool {
        true
    }

    fn deadline(&self, request: &Request<B>) -> Option<Instant> {
        let deadline = request.extensions().get::<Deadline>();
        deadline.map(|deadline| deadline.instant())
    }

    fn classify(&self, result: Result<&Response<B2>, &BoxError>) -> Verdict {
        let known = result.err().and_then(|error| known(error.as_ref()));
        known.unwrap_or_else(|| Policy::<Request<B>, _, _>::classify(&self.rules, result))
    }

    fn gave_up(&self, outcome: &mut Result<Response<B2>, BoxError>, why: Refusal) {
        Policy::<Request<B>, _, _>::gave_up(&self.rules, outcome, why);
    }
}

impl<B, B2> Policy<Request<B>, Response<B2>, BoxError> for HedgePolicy {
    fn retryable(&self, request: &Request<B>) -> bool {
        request.extensions().get::<Again>().is_none()
            && Policy::<_, Response<B2>, BoxError>::retryable(&self.0, request)
    }

    fn classify(&self, result: Result<&Response<B2>, &BoxError>) -> Verdict {
        Policy::<Request<B>, _, _>::classify(&self.0, result)
    }
}

fn known(error: &(dyn Error + 'static)) -> Option<Verdict> {
    if Unprocessed::caused(error) {
        return Some(Verdict::Unprocessed);
    }
    if is_overload(error) {
        return Some(Verdict::retry().kind(Kind::Throttled).unwanted());
    }
    match refusal::Refusal::of(error) {
        refusal::Refusal::TimedOut => Some(Verdict::retry().kind(Kind::Timeout)),
        _ => refusal::is_clients_fault(error).then_some(Verdict::Neutral),
    }
}

/// Whether there was nowhere to send the request to, although that was waited for.
fn is_overload(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source()).any(|cause| {
        cause.is::<NoEndpoint>() || cause.is::<TooManyPending>() || cause.is::<NoFreeConnection>()
    })
}

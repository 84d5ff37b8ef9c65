//! What errors say about the request, by what caused them.

use std::{error::Error, io, iter};

use tokio::time::Instant;

use crate::{
    error::{BoxError, Held, TryElapsed},
    kind::Kind,
    policy::{Policy, Refusal, Verdict},
};

/// The rules of another policy, but for errors whose causes are known.
///
/// | cause | verdict |
/// | --- | --- |
/// | a [refused connection](is_refused_connection) | [`Unprocessed`](Verdict::Unprocessed) |
/// | [`TryElapsed`], `tokio`'s `Elapsed`, or an `io::Error` that says `TimedOut` | retry, [`Kind::Timeout`] |
/// | [`Held`], of a [throttle](crate::throttle) | [`Neutral`](Verdict::Neutral) |
/// | anything else | that of the policy |
///
/// All that can be [kept for resends](crate::Builder::resends) is: a connection may be refused
/// whatever the method.
///
/// ```
/// use tower_retry_budget::{Budget, RetryLayer, http::{BodyReplay, KnownErrors, StatusPolicy}};
///
/// let retry = RetryLayer::builder(Budget::new())
///     .resends(1)
///     .policy(KnownErrors::new(StatusPolicy::new()))
///     .replay(BodyReplay::default())
///     .build()?;
/// # drop(retry);
/// # Ok::<_, tower_retry_budget::error::InvalidSetting>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct KnownErrors<P> {
    policy: P,
}

impl<P> KnownErrors<P> {
    /// That policy for responses, and for errors that are not known.
    pub const fn new(policy: P) -> Self {
        Self { policy }
    }
}

impl<P, Req, Res> Policy<Req, Res, BoxError> for KnownErrors<P>
where
    P: Policy<Req, Res, BoxError>,
{
    fn retryable(&self, request: &Req) -> bool {
        self.policy.retryable(request)
    }

    fn resendable(&self, _: &Req) -> bool {
        true
    }

    fn deadline(&self, request: &Req) -> Option<Instant> {
        self.policy.deadline(request)
    }

    fn classify(&self, result: Result<&Res, &BoxError>) -> Verdict {
        let known = result.err().and_then(|error| classify(error.as_ref()));
        known.unwrap_or_else(|| self.policy.classify(result))
    }

    fn gave_up(&self, outcome: &mut Result<Res, BoxError>, why: Refusal) {
        self.policy.gave_up(outcome, why);
    }
}

fn classify(error: &(dyn Error + 'static)) -> Option<Verdict> {
    if is_refused_connection(error) {
        return Some(Verdict::Unprocessed);
    }
    causes(error).find_map(|cause| {
        if cause.is::<Held>() {
            return Some(Verdict::Neutral);
        }
        let timed_out = cause
            .downcast_ref()
            .is_some_and(|cause: &io::Error| cause.kind() == io::ErrorKind::TimedOut);
        let elapsed = cause.is::<TryElapsed>() || cause.is::<tokio::time::error::Elapsed>();
        (timed_out || elapsed).then(|| Verdict::retry().kind(Kind::Timeout))
    })
}

/// Whether `error`, or what caused it, is an `io::Error` that says `ConnectionRefused`: nobody
/// listened, so nothing was sent.
///
/// That holds for the errors of a client. One that is told of the refused connections of others,
/// as a server that passes on its own errors, knows more than this.
pub fn is_refused_connection(error: &(dyn Error + 'static)) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref())
        .any(|cause: &io::Error| cause.kind() == io::ErrorKind::ConnectionRefused)
}

/// The error and its sources. An `io::Error` that wraps another error has that error's source for
/// its own, so it is unwrapped.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| {
        let wrapped = error.downcast_ref().and_then(io::Error::get_ref);
        match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}

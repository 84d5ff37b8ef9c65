//! Which requests may be retried, and which outcomes call for it.

use std::time::Duration;

use tokio::time::Instant;

use crate::kind::Kind;

/// Decides what is retried.
///
/// A closure from `Result<&Res, &Err>` to [`Verdict`] is a policy for which every request may
/// be retried, and nothing else is kept.
pub trait Policy<Req, Res, Err> {
    /// Whether this request may be sent more than once. Asked once, before it is sent.
    ///
    /// Say no to what is not idempotent. The default is yes.
    fn retryable(&self, request: &Req) -> bool {
        let _ = request;
        true
    }

    /// Whether to keep what another attempt needs of a request that may not be retried, in case
    /// it comes back [`Unprocessed`](Verdict::Unprocessed). Asked once, before it is sent, and
    /// only if there are [`resends`](crate::Builder::resends) and there can be no retry.
    ///
    /// The default is no: what is not retried is not kept.
    fn resendable(&self, request: &Req) -> bool {
        let _ = request;
        false
    }

    /// Until when the answer to this request is of use, if that is known. Asked once, before it is
    /// sent.
    ///
    /// No attempt is sent that cannot end by then: not if it would have to wait for longer, nor
    /// if there would be less time left than the quickest success has taken, among requests
    /// that have a deadline, in the last ten to twenty seconds. The outcome of the attempt before is
    /// returned instead, at once.
    ///
    /// The default is `None`: no clock is read then.
    fn deadline(&self, request: &Req) -> Option<Instant> {
        let _ = request;
        None
    }

    /// What the outcome of an attempt means. Asked once for each attempt.
    fn classify(&self, result: Result<&Res, &Err>) -> Verdict;

    /// Told why no attempt follows one whose verdict called for another. The outcome is returned
    /// as this leaves it, so that this is where to mark it.
    ///
    /// Not told of what may not be sent twice in the first place, [`Refusal::NotRetryable`]: the
    /// caller knows. The default leaves the outcome as it is.
    fn gave_up(&self, outcome: &mut Result<Res, Err>, why: Refusal) {
        let _ = (outcome, why);
    }
}

impl<F, Req, Res, Err> Policy<Req, Res, Err> for F
where
    F: Fn(Result<&Res, &Err>) -> Verdict,
{
    fn classify(&self, result: Result<&Res, &Err>) -> Verdict {
        self(result)
    }
}

/// What the outcome of an attempt means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It worked: the outcome is returned and pays into the budget.
    Success,
    /// It failed for good: the outcome is returned and pays nothing.
    Failure,
    /// It says nothing about the server, as when the caller spoilt the request: the outcome is
    /// returned, and counts neither as a success nor as a failure.
    Neutral,
    /// It failed, and another attempt may work. If none can be made, the outcome is returned
    /// and pays nothing.
    /// Made by [`Verdict::retry`].
    Retry(Again),
    /// The request was certainly not processed: it was never sent, or the server has given it
    /// back (HTTP/2's `REFUSED_STREAM`, or a `GOAWAY` that does not cover it). Another attempt is
    /// right whatever the method, and takes nothing from the budget.
    ///
    /// While [`resends`](crate::Builder::resends) are left, it is sent again: at once, and after
    /// the backoff if it comes back once more. Without any left, this is what
    /// [`Verdict::retry`] makes.
    Unprocessed,
}

impl Verdict {
    /// To be retried: [transient](Kind::Transient), and no wait was asked for.
    pub const fn retry() -> Self {
        Self::Retry(Again {
            kind: Kind::Transient,
            after: None,
            unwanted: false,
        })
    }

    /// Of this kind, if it is to be retried.
    #[must_use]
    pub fn kind(self, kind: Kind) -> Self {
        match self {
            Self::Retry(again) => Self::Retry(Again { kind, ..again }),
            other => other,
        }
    }

    /// After the wait that the server asked for, if it is to be retried.
    #[must_use]
    pub fn after(self, after: impl Into<Option<Duration>>) -> Self {
        match self {
            Self::Retry(again) => Self::Retry(Again {
                after: after.into(),
                ..again
            }),
            other => other,
        }
    }

    /// Not to be retried all the same, if it is to be retried: see [`Again::unwanted`].
    #[must_use]
    pub fn unwanted(self) -> Self {
        match self {
            Self::Retry(again) => Self::Retry(Again {
                unwanted: true,
                ..again
            }),
            other => other,
        }
    }
}

/// Why, and when, to try again: of a [`Verdict::Retry`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Again {
    /// What failed, which says what the retry costs.
    pub kind: Kind,
    /// The wait that the server asked for. The backoff can make it longer, not shorter.
    pub after: Option<Duration>,
    /// Whether it is to be no retry all the same: the server asked for none, or for a wait that is
    /// too long. It is more than a [`Verdict::Failure`], for which the server has done its work.
    pub unwanted: bool,
}

/// Why an attempt that called for another got none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The budget had too little, before the first attempt or after the last.
    Exhausted,
    /// The policy does not let this request be sent twice.
    NotRetryable,
    /// The request could not be made again, as after a body above the limit.
    NotReplayable,
    /// That was the last attempt.
    OutOfAttempts,
    /// The service was not ready in time for it.
    NotReady,
    /// It could not have ended before the deadline of the request.
    PastDeadline,
    /// The server asked for none, or for a longer wait than it gets: [`Again::unwanted`].
    Unwanted,
}

/// The policy that retries each error and takes each response for a success.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnError;

impl<Req, Res, Err> Policy<Req, Res, Err> for OnError {
    fn classify(&self, result: Result<&Res, &Err>) -> Verdict {
        match result {
            Ok(_) => Verdict::Success,
            Err(_) => Verdict::retry(),
        }
    }
}

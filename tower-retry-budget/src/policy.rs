//! Which requests may be retried, and which outcomes call for it.

use std::time::Duration;

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

    /// What the outcome of an attempt means. Asked once for each attempt.
    fn classify(&self, result: Result<&Res, &Err>) -> Verdict;
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
    /// It failed, and another attempt may work. If none can be made, the outcome is returned
    /// and pays nothing.
    Retry {
        /// The wait that the server asked for. The backoff can make it longer, not shorter.
        after: Option<Duration>,
    },
    /// The request was certainly not processed: it was never sent, or the server has given it
    /// back (HTTP/2's `REFUSED_STREAM`, or a `GOAWAY` that does not cover it). Another attempt is
    /// right whatever the method, and takes nothing from the budget.
    ///
    /// While [`resends`](crate::Builder::resends) are left, it is sent again: at once, and after
    /// the backoff if it comes back once more. Without any left, this is a
    /// [`Retry`](Self::Retry) without a wait asked for.
    Unprocessed,
}

/// The policy that retries each error and takes each response for a success.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnError;

impl<Req, Res, Err> Policy<Req, Res, Err> for OnError {
    fn classify(&self, result: Result<&Res, &Err>) -> Verdict {
        match result {
            Ok(_) => Verdict::Success,
            Err(_) => Verdict::Retry { after: None },
        }
    }
}

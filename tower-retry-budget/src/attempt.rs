//! What later attempts are made from, and what they cost.

use crate::{
    kind::Kind,
    policy::{Policy, Refusal},
    prepare::Next,
    replay::Replay,
    reservation::Reservation,
    service::Shared,
};

/// What later attempts are made from, or why there can be none.
pub(crate) type Retries<Spare> = Result<Kept<Spare>, Refusal>;

/// What is kept of a request for later attempts.
pub(crate) struct Kept<Spare> {
    /// Gone once the last attempt has been made from it.
    spare: Option<Spare>,
    /// Why there is to be no retry: then this is kept for resends only.
    refusal: Option<Refusal>,
}

/// What is to be kept of a request.
pub(crate) enum Keep {
    /// Nothing: there can be no other attempt.
    Nothing(Refusal),
    /// A spare, for resends only if there is to be no retry.
    Spare(Option<Refusal>),
}

/// A spare is kept only if a retry is allowed and looks affordable, or for a resend.
pub(crate) fn keep<P, R, Req, Res, Err>(shared: &Shared<P, R>, request: &Req) -> Keep
where
    P: Policy<Req, Res, Err>,
{
    let refusal = if !shared.policy.retryable(request) {
        Some(Refusal::NotRetryable)
    } else if shared.attempts <= 1 {
        Some(Refusal::OutOfAttempts)
    } else {
        (!shared.budget.looks_affordable()).then_some(Refusal::Exhausted)
    };
    match refusal {
        Some(refusal) if !(shared.resends > 0 && shared.policy.resendable(request)) => {
            Keep::Nothing(refusal)
        }
        refusal => Keep::Spare(refusal),
    }
}

/// The first attempt, and what later ones are made from.
pub(crate) fn split<P, R, Req>(
    shared: &Shared<P, R>,
    request: Req,
    refusal: Option<Refusal>,
) -> (R::Request, Retries<R::Spare>)
where
    R: Replay<Req>,
{
    let (first, spare) = shared.replay.first(request);
    let kept = spare.map(|spare| Kept {
        spare: Some(spare),
        refusal,
    });
    (first, kept.ok_or(refusal.unwrap_or(Refusal::NotReplayable)))
}

/// Attempts of one request so far, those that are prepared included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    /// The first one and retries.
    pub(crate) attempts: u32,
    pub(crate) resends: u32,
}

impl Made {
    pub(crate) fn first() -> Self {
        Self {
            attempts: 1,
            resends: 0,
        }
    }
}

/// What calls for another attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause {
    Failed(Kind),
    /// Something that is not to be retried all the same.
    Unwanted,
    Unprocessed,
}

/// What the next attempt is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Takes the price of its kind from the budget.
    Retry(Kind),
    /// Takes nothing.
    Resend,
}

impl<Spare> Kept<Spare> {
    /// What may follow the attempts that were `made`. What came back unprocessed is resent, while
    /// there are any resends.
    pub(crate) fn step<P, R, Req>(
        &self,
        shared: &Shared<P, R>,
        made: Made,
        cause: Cause,
    ) -> Result<Step, Refusal>
    where
        R: Replay<Req, Spare = Spare>,
    {
        let step = match cause {
            Cause::Failed(kind) => Step::Retry(kind),
            Cause::Unprocessed if made.resends < shared.resends => Step::Resend,
            // Where no resend is left, what was not processed is retried.
            Cause::Unwanted | Cause::Unprocessed => Step::Retry(Kind::Transient),
        };
        if let (Step::Retry(_), Some(refusal)) = (step, self.refusal) {
            return Err(refusal);
        }
        let out_of_attempts = matches!(step, Step::Retry(_)) && made.attempts >= shared.attempts;
        let Some(spare) = self.spare.as_ref().filter(|_| !out_of_attempts) else {
            return Err(Refusal::OutOfAttempts);
        };
        if matches!(cause, Cause::Unwanted) {
            return Err(Refusal::Unwanted);
        }
        if !shared.replay.replayable(spare) {
            return Err(Refusal::NotReplayable);
        }
        Ok(step)
    }

    /// Pays for the next attempt, makes its request, and counts it.
    pub(crate) fn prepare<P, R, Req>(
        &mut self,
        shared: &Shared<P, R>,
        made: &mut Made,
        step: Step,
    ) -> Result<Prepared<R::Request>, Refusal>
    where
        R: Replay<Req, Spare = Spare>,
    {
        let (kind, reservation) = match step {
            Step::Resend => {
                made.resends += 1;
                (Kind::Transient, Reservation::free())
            }
            Step::Retry(kind) => {
                let withdrawal = shared.budget.try_withdraw(kind);
                let withdrawal = withdrawal.map_err(|_| Refusal::Exhausted)?;
                made.attempts += 1;
                (kind, withdrawal.into())
            }
        };
        let more_retries = self.refusal.is_none() && made.attempts < shared.attempts;
        let request = if more_retries || made.resends < shared.resends {
            let spare = self.spare.as_mut();
            spare.and_then(|spare| shared.replay.again(spare))
        } else {
            let spare = self.spare.take();
            spare.and_then(|spare| shared.replay.last(spare))
        };
        Ok(Prepared {
            request: request.ok_or(Refusal::NotReplayable)?,
            reservation,
            next: Next {
                attempt: made.attempts,
                kind,
                resend: matches!(step, Step::Resend),
            },
        })
    }

    /// Why no attempt can follow any more, if so.
    pub(crate) fn used_up(&self) -> Option<Refusal> {
        let refusal = self.refusal.unwrap_or(Refusal::OutOfAttempts);
        self.spare.is_none().then_some(refusal)
    }
}

/// An attempt that is paid for and not yet sent.
pub(crate) struct Prepared<Request> {
    pub(crate) request: Request,
    pub(crate) reservation: Reservation,
    pub(crate) next: Next,
}

//! What later attempts are made from, and what they cost.

use crate::{budget::Withdrawal, kind::Kind, policy::Refusal, replay::Replay, service::Shared};

/// What later attempts are made from, or why there can be none.
pub(crate) type Retries<S, Spare> = Result<Kept<S, Spare>, Refusal>;

/// The service and the request, for later attempts.
pub(crate) struct Kept<S, Spare> {
    pub(crate) service: S,
    /// Gone once the last attempt has been made from it.
    spare: Option<Spare>,
    /// Why there is to be no retry: then this is kept for resends only.
    refusal: Option<Refusal>,
}

impl<S, Spare> Kept<S, Spare> {
    pub(crate) fn new(service: S, spare: Spare, refusal: Option<Refusal>) -> Self {
        Self {
            service,
            spare: Some(spare),
            refusal,
        }
    }

    /// Why no attempt can follow any more, if so.
    pub(crate) fn used_up(&self) -> Option<Refusal> {
        let refusal = self.refusal.unwrap_or(Refusal::OutOfAttempts);
        self.spare.is_none().then_some(refusal)
    }
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

/// What an attempt after the first takes from the budget.
pub(crate) enum Payment {
    /// A retry takes a token.
    Token(Reservation),
    /// A resend does not.
    Nothing,
}

impl Payment {
    pub(crate) fn spend(self) {
        if let Self::Token(mut reservation) = self {
            reservation.withdrawal = None;
        }
    }
}

/// Gives its token back unless it is spent.
pub(crate) struct Reservation {
    withdrawal: Option<Withdrawal>,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(withdrawal) = self.withdrawal.take() {
            withdrawal.refund();
        }
    }
}

/// What calls for another attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause {
    Failed(Kind),
    Unwanted,
    Unprocessed,
}

impl Cause {
    fn kind(self) -> Kind {
        match self {
            Self::Failed(kind) => kind,
            // Where no resend is left.
            Self::Unwanted | Self::Unprocessed => Kind::Transient,
        }
    }
}

/// Pays for the attempt after those that were `made`, makes its request, and counts it. A resend
/// is made of what came back `unprocessed`, while there are any.
pub(crate) fn prepare<S, P, R, Req>(
    shared: &Shared<P, R>,
    kept: &mut Retries<S, R::Spare>,
    made: &mut Made,
    cause: Cause,
) -> Result<(R::Request, Payment), Refusal>
where
    R: Replay<Req>,
{
    let Kept { spare, refusal, .. } = kept.as_mut().map_err(|refusal| *refusal)?;
    let resend = matches!(cause, Cause::Unprocessed) && made.resends < shared.resends;
    if !resend {
        let refusal =
            refusal.or((made.attempts >= shared.attempts).then_some(Refusal::OutOfAttempts));
        refusal.map_or(Ok(()), Err)?;
    }
    if matches!(cause, Cause::Unwanted) {
        return Err(Refusal::Unwanted);
    }
    let is_replayable = spare.as_ref().map(|spare| shared.replay.replayable(spare));
    if !is_replayable.ok_or(Refusal::OutOfAttempts)? {
        return Err(Refusal::NotReplayable);
    }
    let payment = if resend {
        made.resends += 1;
        Payment::Nothing
    } else {
        let withdrawal = shared.budget.try_withdraw(cause.kind());
        let withdrawal = Some(withdrawal.map_err(|_| Refusal::Exhausted)?);
        made.attempts += 1;
        Payment::Token(Reservation { withdrawal })
    };
    let more_retries = refusal.is_none() && made.attempts < shared.attempts;
    let request = if more_retries || made.resends < shared.resends {
        spare.as_mut().and_then(|spare| shared.replay.again(spare))
    } else {
        spare.take().and_then(|spare| shared.replay.last(spare))
    };
    Ok((request.ok_or(Refusal::NotReplayable)?, payment))
}

//! What later attempts are made from, and what they cost.

use crate::{budget::Withdrawal, replay::Replay, service::Shared, stats::Refusal};

/// What later attempts are made from, or why there can be none.
pub(crate) type Retries<S, Spare> = Result<Kept<S, Spare>, Refusal>;

/// The service and the request, for later attempts.
pub(crate) struct Kept<S, Spare> {
    pub(crate) service: S,
    /// Gone once the last attempt has been made from it.
    pub(crate) spare: Option<Spare>,
}

impl<S, Spare> Kept<S, Spare> {
    pub(crate) fn new(service: S, spare: Spare) -> Self {
        Self {
            service,
            spare: Some(spare),
        }
    }
}

/// Gives its token back unless it is spent.
pub(crate) struct Reservation {
    withdrawal: Option<Withdrawal>,
}

impl Reservation {
    pub(crate) fn spend(mut self) {
        self.withdrawal = None;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(withdrawal) = self.withdrawal.take() {
            withdrawal.refund();
        }
    }
}

/// Pays for the attempt after `attempt` and makes its request.
pub(crate) fn prepare<S, P, R, Req>(
    shared: &Shared<P, R>,
    kept: &mut Retries<S, R::Spare>,
    attempt: u32,
) -> Result<(R::Request, Reservation), Refusal>
where
    R: Replay<Req>,
{
    let spare = &mut kept.as_mut().map_err(|refusal| *refusal)?.spare;
    let replayable = |spare| shared.replay.replayable(spare);
    if !spare
        .as_ref()
        .map(replayable)
        .ok_or(Refusal::OutOfAttempts)?
    {
        return Err(Refusal::NotReplayable);
    }
    let Ok(withdrawal) = shared.budget.withdraw() else {
        return Err(Refusal::Exhausted);
    };
    let reservation = Reservation {
        withdrawal: Some(withdrawal),
    };
    let request = if attempt + 1 < shared.attempts {
        spare.as_mut().and_then(|spare| shared.replay.again(spare))
    } else {
        spare.take().and_then(|spare| shared.replay.last(spare))
    };
    Ok((request.ok_or(Refusal::NotReplayable)?, reservation))
}

//! What is paid for an attempt that may still not be sent.

use crate::{budget::Withdrawal, policy::Refusal};

/// Gives back what it holds unless it is spent.
pub(crate) struct Reservation {
    withdrawal: Option<Withdrawal>,
}

impl Reservation {
    /// For an attempt that costs nothing.
    pub(crate) fn free() -> Self {
        Self { withdrawal: None }
    }

    /// From here on dropping what was paid does not give it back.
    pub(crate) fn spend(mut self) -> Option<Withdrawal> {
        self.withdrawal.take()
    }

    /// Whether so much has failed since it was paid that the attempt is not to be sent.
    pub(crate) fn looks_vain(&self) -> bool {
        self.withdrawal.as_ref().is_some_and(Withdrawal::looks_vain)
    }

    /// The attempt is not sent. What was paid for it is given back, unless the budget is why.
    pub(crate) fn give_up(mut self, refusal: Refusal) {
        if refusal == Refusal::Exhausted
            && let Some(withdrawal) = self.withdrawal.take()
        {
            withdrawal.withhold();
        }
    }
}

impl From<Withdrawal> for Reservation {
    fn from(withdrawal: Withdrawal) -> Self {
        Self {
            withdrawal: Some(withdrawal),
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(withdrawal) = self.withdrawal.take() {
            withdrawal.refund();
        }
    }
}

//! What a handle without a connection gets: a wait, or the reason why it does not wait any longer.

use std::{sync::Arc, time::Duration};

use crate::{
    error::{Cause, Closed, StillConnecting, Unavailable},
    future::Refusal,
    mode::Mode,
    observed::{Observed, Visible},
    view::{Phase, View},
};

/// A handle's wait for a connection.
#[derive(Debug, Default)]
pub(crate) struct Wait {
    /// Where its waker is registered.
    pub(crate) key: Option<u64>,
    /// When it ends at the latest, if it has begun and is bounded.
    pub(crate) until: Option<Duration>,
}

/// Why a handle is not to wait, or nothing when it is.
pub(crate) fn refusal<T: Visible>(
    mode: Mode,
    wait: &mut Wait,
    observed: &Observed<T>,
    view: &View<'_, Cause>,
) -> Option<Refusal> {
    if let Phase::Closed = view.phase {
        let name = observed.name().cloned();
        return Some(Refusal::Closed(Box::new(Closed { name })));
    }
    let now = observed.now();
    let backoff = match view.phase {
        Phase::BackingOff { cause, until } => Some((cause.clone(), until)),
        _ => None,
    };
    let (cause, due) = match mode {
        Mode::Balanced => return None,
        Mode::FailFast => backoff?,
        Mode::BoundedWait(limit) => {
            let end = *wait.until.get_or_insert_with(|| now.saturating_add(limit));
            if now < end {
                return None;
            }
            let still = || Arc::new(StillConnecting { waited: limit }) as Cause;
            let dial_at = view.dial_at.unwrap_or(now).max(now);
            backoff.unwrap_or_else(|| {
                let cause = view.history.outage().cloned();
                (cause.unwrap_or_else(still), dial_at)
            })
        }
    };
    Some(Refusal::Unavailable(Box::new(Unavailable {
        name: observed.name().cloned(),
        cause,
        failures: view.history.failures(),
        wait: due.saturating_sub(now),
        next_attempt: observed.at(due),
    })))
}

use std::{
    fmt,
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::{
    task::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

pin_project! {
    /// A timer that costs nothing until it is first polled.
    ///
    /// It is exempt from tokio's cooperative budget: a request that uses its task's budget up on
    /// every poll would otherwise never be ended.
    pub(crate) struct Timer {
        deadline: Option<Instant>,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Timer {
    /// Never fires without a deadline.
    #[inline]
    pub(crate) fn new(deadline: Option<Instant>) -> Self {
        Self {
            deadline,
            sleep: None,
        }
    }

    /// Fires then instead.
    pub(crate) fn reset(self: Pin<&mut Self>, deadline: Option<Instant>) {
        let mut this = self.project();
        *this.deadline = deadline;
        this.sleep.set(None);
    }

    /// Whether it fires later than `deadline`.
    #[cfg(feature = "http")]
    pub(crate) fn is_after(&self, deadline: Option<Instant>) -> bool {
        deadline.is_some_and(|deadline| self.deadline.is_none_or(|own| own > deadline))
    }

    /// Whether it fires earlier than `deadline`.
    #[cfg(feature = "http")]
    pub(crate) fn is_before(&self, deadline: Option<Instant>) -> bool {
        self.deadline
            .is_some_and(|own| deadline.is_none_or(|deadline| own < deadline))
    }

    #[inline]
    pub(crate) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(deadline) = *this.deadline else {
            return Poll::Pending;
        };
        if this.sleep.is_none() {
            this.sleep.set(Some(sleep_until(deadline)));
        }
        match this.sleep.as_pin_mut() {
            Some(sleep) => pin!(unconstrained(sleep)).poll(cx),
            None => Poll::Pending,
        }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timer").field(&self.deadline).finish()
    }
}

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::{
    task::{Unconstrained, unconstrained},
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
        sleep: Option<Unconstrained<Sleep>>,
    }
}

impl Timer {
    /// Never fires without a deadline.
    pub(crate) fn new(deadline: Option<Instant>) -> Self {
        Self {
            deadline,
            sleep: None,
        }
    }

    pub(crate) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(deadline) = *this.deadline else {
            return Poll::Pending;
        };
        if this.sleep.is_none() {
            this.sleep.set(Some(unconstrained(sleep_until(deadline))));
        }
        match this.sleep.as_pin_mut() {
            Some(sleep) => sleep.poll(cx),
            None => Poll::Pending,
        }
    }
}

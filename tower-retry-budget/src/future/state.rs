//! Where a request and its retries are.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use crate::attempt::Prepared;

/// What became of an attempt that was to be sent.
pub(super) enum Sending<S: Service<Request>, Request> {
    Sent,
    /// The service failed instead of becoming ready.
    Failed(S::Error),
    /// It was too late; the outcome of the attempt before.
    GivenUp(Result<S::Response, S::Error>),
}

pin_project! {
    #[project = StateProj]
    pub(super) enum State<F, Request, Outcome> {
        Calling {
            #[pin]
            future: F,
        },
        BackingOff {
            #[pin]
            sleep: Sleep,
            next: Option<(Prepared<Request>, Outcome)>,
        },
        // Until the service is ready for the next attempt.
        Unready {
            // Runs from when the service was first found not to be ready.
            #[pin]
            timeout: Option<Sleep>,
            // With the outcome of the attempt before, for the case that this one cannot be sent.
            next: Option<(Prepared<Request>, Outcome)>,
        },
    }
}

impl<F, Request, Outcome> State<F, Request, Outcome> {
    pub(super) fn waiting(wait: Duration, next: Option<(Prepared<Request>, Outcome)>) -> Self {
        if wait.is_zero() {
            return Self::unready(next);
        }
        let sleep = sleep(wait);
        Self::BackingOff { sleep, next }
    }

    pub(super) fn unready(next: Option<(Prepared<Request>, Outcome)>) -> Self {
        let timeout = None;
        Self::Unready { timeout, next }
    }
}

/// Whether the time is over that began with the first poll.
pub(super) fn poll_timeout(
    mut timeout: Pin<&mut Option<Sleep>>,
    after: Duration,
    cx: &mut Context<'_>,
) -> Poll<()> {
    // A timer would round zero up to its next tick.
    if after.is_zero() {
        return Poll::Ready(());
    }
    if timeout.is_none() {
        timeout.set(Some(sleep(after)));
    }
    match timeout.as_pin_mut() {
        Some(timer) => timer.poll(cx),
        None => Poll::Pending,
    }
}

//! The future.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::Admission;
use crate::{
    error::{BoxError, Held},
    policy::{Policy, Verdict},
};

pin_project! {
    /// The response of a [`Throttled`](super::Throttled) service, or [`Held`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the inner future. The request then counts only if it has been without an
    /// answer for longer than the [`patience`](super::Builder::patience), if there is one.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, P, Req> {
        #[pin]
        state: State<F, P>,
        request: PhantomData<fn(Req)>,
    }
}

impl<F, P, Req> ResponseFuture<F, P, Req> {
    pub(super) fn sent(inner: F, admission: Admission, policy: Arc<P>) -> Self {
        Self::new(State::Sent {
            inner,
            admission: Some(admission),
            policy,
        })
    }

    pub(super) fn held(held: Held) -> Self {
        Self::new(State::Held { held: Some(held) })
    }

    fn new(state: State<F, P>) -> Self {
        Self {
            state,
            request: PhantomData,
        }
    }
}

impl<F, P, Req, Res, Err> Future for ResponseFuture<F, P, Req>
where
    F: Future<Output = Result<Res, Err>>,
    Err: Into<BoxError>,
    P: Policy<Req, Res, Err>,
{
    type Output = Result<Res, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Sent {
                inner,
                admission,
                policy,
            } => {
                if admission.is_none() {
                    // Polled again after the end.
                    return Poll::Pending;
                }
                let outcome = ready!(inner.poll(cx));
                let verdict = Policy::<Req, _, _>::classify(&**policy, outcome.as_ref());
                if let Some(admission) = admission.take() {
                    settle(admission, verdict);
                }
                Poll::Ready(outcome.map_err(Into::into))
            }
            StateProj::Held { held } => match held.take() {
                Some(held) => Poll::Ready(Err(held.into())),
                None => Poll::Pending,
            },
        }
    }
}

impl<F, P, Req> fmt::Debug for ResponseFuture<F, P, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Sent { .. } => "sent",
            State::Held { .. } => "held",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, P> {
        Sent {
            #[pin]
            inner: F,
            admission: Option<Admission>,
            policy: Arc<P>,
        },
        Held {
            held: Option<Held>,
        },
    }
}

fn settle(admission: Admission, verdict: Verdict) {
    match verdict {
        Verdict::Success | Verdict::Failure => admission.accepted(),
        Verdict::Retry(_) | Verdict::Unprocessed => admission.refused(),
        Verdict::Neutral => admission.neutral(),
    }
}

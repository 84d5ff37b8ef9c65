//! The service.

use std::{
    any::type_name,
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tower_service::Service;

use crate::{
    attempt::{Kept, Retries},
    backoff::Backoff,
    budget::Budget,
    future::ResponseFuture,
    policy::{OnError, Policy, Refusal},
    replay::{CloneRequest, Replay},
    stats::{Counters, RetryStats},
};

/// Retries what fails, within a budget. Made by a [`RetryLayer`](crate::RetryLayer).
pub struct Retry<S, P = OnError, R = CloneRequest> {
    inner: S,
    shared: Arc<Shared<P, R>>,
}

impl<S, P, R> Retry<S, P, R> {
    pub(crate) fn new(inner: S, shared: Arc<Shared<P, R>>) -> Self {
        Self { inner, shared }
    }

    /// What the layer of this service has done, in all its services.
    pub fn stats(&self) -> RetryStats {
        self.shared.counters.snapshot()
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// The first attempt, and what later ones are made from: the spare is taken here only if a
    /// retry is allowed and looks affordable, or for a resend; the service is cloned only if there
    /// is a spare.
    fn split<Req>(&self, request: Req) -> (R::Request, Retries<S, R::Spare>)
    where
        R: Replay<Req>,
        S: Service<R::Request> + Clone,
        P: Policy<Req, S::Response, S::Error>,
    {
        let refusal = self.refusal(&request);
        if let Some(refusal) = refusal
            && !self.is_kept_for_resends(&request)
        {
            return (self.shared.replay.plain(request), Err(refusal));
        }
        let (first, spare) = self.shared.replay.first(request);
        let kept = spare
            .map(|spare| Kept::new(self.inner.clone(), spare, refusal))
            .ok_or(refusal.unwrap_or(Refusal::NotReplayable));
        (first, kept)
    }

    fn is_kept_for_resends<Req>(&self, request: &Req) -> bool
    where
        R: Replay<Req>,
        S: Service<R::Request>,
        P: Policy<Req, S::Response, S::Error>,
    {
        self.shared.resends > 0 && self.shared.policy.resendable(request)
    }

    fn refusal<Req>(&self, request: &Req) -> Option<Refusal>
    where
        R: Replay<Req>,
        S: Service<R::Request>,
        P: Policy<Req, S::Response, S::Error>,
    {
        if !self.shared.policy.retryable(request) {
            return Some(Refusal::NotRetryable);
        }
        if self.shared.attempts <= 1 {
            return Some(Refusal::OutOfAttempts);
        }
        (!self.shared.budget.looks_affordable()).then_some(Refusal::Exhausted)
    }
}

impl<S, P, R, Req> Service<Req> for Retry<S, P, R>
where
    R: Replay<Req>,
    S: Service<R::Request> + Clone,
    P: Policy<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, P, R, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        self.shared.counters.request();
        let (first, kept) = self.split(request);
        // The instance that is ready is called itself; the clone is only for later attempts.
        ResponseFuture::new(self.inner.call(first), kept, Arc::clone(&self.shared))
    }
}

impl<S: Clone, P, R> Clone for Retry<S, P, R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S: fmt::Debug, P, R> fmt::Debug for Retry<S, P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Retry");
        debug.field("inner", &self.inner);
        self.shared.debug(&mut debug).finish()
    }
}

/// What all services of one layer have in common.
pub(crate) struct Shared<P, R> {
    pub(crate) budget: Budget,
    pub(crate) attempts: u32,
    pub(crate) resends: u32,
    pub(crate) backoff: Backoff,
    pub(crate) ready_timeout: Duration,
    pub(crate) policy: P,
    pub(crate) replay: R,
    pub(crate) counters: Counters,
}

impl<P, R> Shared<P, R> {
    pub(crate) fn debug<'f, 'a, 'b>(
        &self,
        debug: &'f mut fmt::DebugStruct<'a, 'b>,
    ) -> &'f mut fmt::DebugStruct<'a, 'b> {
        debug
            .field("budget", &self.budget)
            .field("attempts", &self.attempts)
            .field("resends", &self.resends)
            .field("backoff", &self.backoff)
            .field("ready_timeout", &self.ready_timeout)
            .field("policy", &format_args!("{}", type_name::<P>()))
            .field("replay", &format_args!("{}", type_name::<R>()))
            .field("stats", &self.counters.snapshot())
    }
}

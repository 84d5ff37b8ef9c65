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
    attempt::{Keep, keep, split},
    backoff::Backoff,
    budget::Budget,
    deadline::{Due, Latencies},
    future::ResponseFuture,
    lanes::Lanes,
    policy::{OnError, Policy},
    replay::{CloneRequest, Replay},
    stats::{Counters, RetryStats},
    template::Template,
    waits::Seeds,
};

/// Retries what fails, within a budget. Made by a [`RetryLayer`](crate::RetryLayer).
pub struct Retry<S, P = OnError, R = CloneRequest> {
    inner: S,
    lanes: Arc<Lanes<Core<S, P, R>>>,
}

impl<S, P, R> Retry<S, P, R> {
    pub(crate) fn new(inner: S, shared: Arc<Shared<P, R>>) -> Self
    where
        S: Clone,
    {
        let template = Template::of(&inner);
        Self {
            inner,
            lanes: Arc::new(Lanes::new(Core { template, shared })),
        }
    }

    /// What the layer of this service has done, in all its services.
    pub fn stats(&self) -> RetryStats {
        self.lanes.core().shared.counters.snapshot()
    }

    /// The inner service, which first attempts go through.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub fn into_inner(self) -> S {
        self.inner
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
        let lane = Arc::clone(self.lanes.lane());
        let shared = &lane.core.shared;
        shared.counters.request();
        let due = shared.policy.deadline(&request).map(Due::new);
        // The instance that is ready is called itself; a clone is only for later attempts.
        match keep(shared, &request) {
            // A request may be large: it is moved no more often than it must be.
            Keep::Nothing(refusal) => {
                let future = self.inner.call(shared.replay.plain(request));
                ResponseFuture::new(future, Err(refusal), due, lane)
            }
            Keep::Spare(refusal) => {
                let (first, kept) = split(shared, request, refusal);
                ResponseFuture::new(self.inner.call(first), kept, due, lane)
            }
        }
    }
}

impl<S: Clone, P, R> Clone for Retry<S, P, R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            lanes: Arc::clone(&self.lanes),
        }
    }
}

impl<S: fmt::Debug, P, R> fmt::Debug for Retry<S, P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Retry");
        debug.field("inner", &self.inner);
        self.lanes.core().shared.debug(&mut debug).finish()
    }
}

/// What a service, its clones and their requests have in common.
pub(crate) struct Core<S, P, R> {
    template: Template<S>,
    pub(crate) shared: Arc<Shared<P, R>>,
}

impl<S: Clone, P, R> Core<S, P, R> {
    /// For the retries of a request.
    pub(crate) fn service(&self) -> S {
        self.template.service()
    }
}

/// What all services of one layer have in common.
pub(crate) struct Shared<P, R> {
    pub(crate) budget: Budget,
    pub(crate) attempts: u32,
    pub(crate) resends: u32,
    pub(crate) backoff: Backoff,
    pub(crate) seeds: Seeds,
    pub(crate) ready_timeout: Duration,
    pub(crate) policy: P,
    pub(crate) replay: R,
    pub(crate) latencies: Latencies,
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

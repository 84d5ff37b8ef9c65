//! The service.

use std::{
    any::type_name,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::time::Instant;
use tower_service::Service;

use super::{
    estimator::Estimator,
    future::{Plan, ResponseFuture},
    stats::{Counters, HedgeStats},
    watch::Watch,
};
use crate::{
    budget::Budget,
    lanes::Lanes,
    nanos::nanos_since,
    policy::{Policy, Refusal},
    replay::{CloneRequest, Replay},
    template::Template,
};

/// Sends a second attempt beside one that is slow. Made by a [`HedgeLayer`](super::HedgeLayer).
pub struct Hedge<S, P, R = CloneRequest> {
    inner: S,
    lanes: Arc<Lanes<Shared<S, P, R>>>,
}

impl<S, P, R> Hedge<S, P, R> {
    pub(super) fn new(inner: S, common: Arc<Common<P, R>>) -> Self
    where
        S: Clone,
    {
        let template = Template::of(&inner);
        Self {
            inner,
            lanes: Arc::new(Lanes::new(Shared { common, template })),
        }
    }

    /// What the layer of this service has done, in all its services.
    pub fn stats(&self) -> HedgeStats {
        self.common().stats()
    }

    /// The inner service, to which first attempts go.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to which first attempts go.
    pub fn into_inner(self) -> S {
        self.inner
    }

    fn common(&self) -> &Common<P, R> {
        &self.lanes.core().common
    }

    /// The first attempt, and what the second would be made from: that is taken only where the
    /// delay is known and a second attempt looks affordable.
    fn split<Req>(&self, request: Req) -> (R::Request, Plan<R::Spare>)
    where
        R: Replay<Req>,
    {
        let common = self.common();
        if !common.estimator.is_known() {
            return (common.replay.plain(request), None);
        }
        if !common.budget.looks_affordable() {
            return (common.replay.plain(request), Some(Err(Refusal::Exhausted)));
        }
        let (first, spare) = common.replay.first(request);
        (first, Some(spare.ok_or(Refusal::NotReplayable)))
    }
}

impl<S, P, R, Req> Service<Req> for Hedge<S, P, R>
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
        let common = self.common();
        common.counters.request();
        if !common.policy.retryable(&request) {
            common.counters.refused(Refusal::NotRetryable);
            let only = common.replay.plain(request);
            let watch = Watch::blind(Arc::clone(self.lanes.lane()));
            return ResponseFuture::new(self.inner.call(only), None, watch);
        }
        let (first, plan) = self.split(request);
        let watch = Watch::new(Arc::clone(self.lanes.lane()));
        ResponseFuture::new(self.inner.call(first), plan, watch)
    }
}

impl<S: Clone, P, R> Clone for Hedge<S, P, R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            lanes: Arc::clone(&self.lanes),
        }
    }
}

impl<S: fmt::Debug, P, R> fmt::Debug for Hedge<S, P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Hedge");
        debug.field("inner", &self.inner);
        self.common().debug(&mut debug).finish()
    }
}

/// What the clones of one service have in common.
pub(super) struct Shared<S, P, R> {
    pub(super) common: Arc<Common<P, R>>,
    template: Template<S>,
}

impl<S: Clone, P, R> Shared<S, P, R> {
    pub(super) fn service(&self) -> S {
        self.template.service()
    }
}

/// What all services of one layer have in common.
pub(super) struct Common<P, R> {
    pub(super) budget: Budget,
    pub(super) funds: bool,
    pub(super) policy: P,
    pub(super) replay: R,
    pub(super) estimator: Estimator,
    pub(super) counters: Counters,
    pub(super) epoch: Instant,
}

impl<P, R> Common<P, R> {
    pub(super) fn stats(&self) -> HedgeStats {
        let delay = self.estimator.delay(self.nanos(Instant::now()));
        self.counters.snapshot(delay)
    }

    /// Since the epoch of the layer.
    pub(super) fn nanos(&self, now: Instant) -> u64 {
        nanos_since(self.epoch, now)
    }

    pub(super) fn debug<'f, 'a, 'b>(
        &self,
        debug: &'f mut fmt::DebugStruct<'a, 'b>,
    ) -> &'f mut fmt::DebugStruct<'a, 'b> {
        debug
            .field("budget", &self.budget)
            .field("funds", &self.funds)
            .field("policy", &format_args!("{}", type_name::<P>()))
            .field("replay", &format_args!("{}", type_name::<R>()))
            .field("rule", &self.estimator.rule())
            .field("stats", &self.stats())
    }
}

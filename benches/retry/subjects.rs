//! What is compared.

use std::{
    future::{Ready, ready},
    sync::Arc,
    thread,
    time::Duration,
};

use tower::{
    Layer,
    hedge::{Hedge as TowerHedge, Policy as HedgePolicy},
    retry::{
        Policy, Retry as TowerRetry,
        budget::{Budget as _, TpsBudget},
    },
};
use tower_retry_budget::{
    Budget, OnError, Retry, RetryLayer,
    hedge::{Hedge, HedgeLayer},
};

pub(super) fn retry<S: Clone>(service: S) -> Retry<S, OnError> {
    RetryLayer::new(Budget::new()).layer(service)
}

pub(super) fn tower_retry<S>(service: S) -> TowerRetry<TowerPolicy, S> {
    TowerRetry::new(TowerPolicy::default(), service)
}

/// Under retries, which pay into the budget.
pub(super) fn hedge<S: Clone>(service: S) -> Hedge<S, OnError> {
    HedgeLayer::new(Budget::new(), OnError).layer(service)
}

/// That, once it knows when to send a second attempt. `send` sends so many requests.
///
/// # Panics
///
/// If it does not learn that from them.
#[allow(
    clippy::disallowed_methods,
    reason = "the answers are to be apart in real time, and there is no other task"
)]
pub(super) fn armed<S: Clone>(
    mut hedge: Hedge<S, OnError>,
    send: impl Fn(&mut Hedge<S, OnError>, u32),
) -> Hedge<S, OnError> {
    for _ in 0..4 {
        send(&mut hedge, 200);
        // What was learnt is published once in some 300 ms.
        thread::sleep(Duration::from_millis(300));
    }
    assert!(
        hedge.stats().delay.is_some(),
        "the hedge has learnt nothing"
    );
    hedge
}

/// With the same quantile, samples and window as ours has by default, and as if it had learnt already.
/// It is to be measured within a window.
pub(super) fn tower_hedge<S>(service: S) -> TowerHedge<S, TowerPolicy>
where
    S: tower::Service<()> + Clone,
    S::Error: Into<tower::BoxError>,
{
    TowerHedge::new_with_mock_latencies(
        service,
        TowerPolicy::default(),
        100,
        0.95,
        Duration::from_secs(10),
        &[1; 200],
    )
}

/// As tower's documentation has it: its budget, and no wait.
#[derive(Clone, Default)]
pub(super) struct TowerPolicy(Arc<TpsBudget>);

/// Makes another of a request, where a policy can.
pub(super) trait Again: Sized {
    fn again(&self) -> Option<Self>;
}

impl Again for () {
    fn again(&self) -> Option<Self> {
        Some(())
    }
}

impl<Req: Again, Res, E> Policy<Req, Res, E> for TowerPolicy {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Req, result: &mut Result<Res, E>) -> Option<Ready<()>> {
        if result.is_ok() {
            self.0.deposit();
            return None;
        }
        self.0.withdraw().then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        request.again()
    }
}

impl HedgePolicy<()> for TowerPolicy {
    fn clone_request(&self, (): &()) -> Option<()> {
        Some(())
    }

    fn can_retry(&self, (): &()) -> bool {
        true
    }
}

pub(super) const OURS: &str = "tower-retry-budget";
pub(super) const TOWER: &str = "tower Retry + TpsBudget";
pub(super) const OURS_HEDGE: &str = "tower-retry-budget hedge";
pub(super) const TOWER_HEDGE: &str = "tower Hedge";

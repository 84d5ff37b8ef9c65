//! What each layer costs a request that succeeds at once, beside tower's own layer for the same
//! purpose: `cargo bench -p benches --bench layers`. The balancer, which has more to measure, has a
//! bench of its own: `--bench balance`.
//!
//! One thread, a service that is always ready and answers at the first poll, a `()` request. Results
//! of one run are in `docs/evaluation.md`.
#![allow(clippy::print_stdout, reason = "a bench prints its results")]

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
    time::Duration,
};

use benches::{
    CountingAllocator, measure,
    service::{Bare, Cloned, bare, subject},
    table,
};
use tokio::runtime::Runtime;
use tower::{
    Layer, Service, ServiceExt,
    reconnect::Reconnect as TowerReconnect,
    retry::{
        Policy, Retry as TowerRetry,
        budget::{Budget as _, TpsBudget},
    },
    timeout::Timeout as TowerTimeout,
};
use tower_reconnect::ReconnectLayer;
use tower_retry_budget::{Budget, RetryLayer};
use tower_timeout_ewma::AdaptiveTimeoutLayer;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime can be built");
    let _entered = runtime.enter();
    println!("{}", retry());
    println!("{}", reconnect(&runtime));
    println!("{}", timeout());
}

fn retry() -> String {
    let ours = RetryLayer::new(Budget::new()).layer(Bare);
    let tower = TowerRetry::new(TowerPolicy::default(), Bare);
    let measured = measure(vec![
        bare(),
        subject("tower-retry-budget", ours),
        subject(TOWER_RETRY, tower),
    ]);
    table("retry, nothing to retry", &measured, TOWER_RETRY)
}

fn reconnect(runtime: &Runtime) -> String {
    let ours = ReconnectLayer::new(()).layer(Maker);
    let connected = runtime.block_on(ours.clone().oneshot(()));
    connected.expect("the bare service answers");
    let measured = measure(vec![
        bare(),
        subject("tower-reconnect", ours.clone()),
        subject("the same, cloned for each request", Cloned(ours)),
        subject(
            TOWER_RECONNECT,
            TowerReconnect::with_connection(Bare, Maker, ()),
        ),
    ]);
    table("reconnect, connected", &measured, TOWER_RECONNECT)
}

fn timeout() -> String {
    let measured = measure(vec![
        bare(),
        subject(
            "tower-timeout-ewma, adaptive",
            AdaptiveTimeoutLayer::new().layer(Bare),
        ),
        subject(
            "tower-timeout-ewma, fixed",
            AdaptiveTimeoutLayer::fixed(Duration::from_secs(1)).layer(Bare),
        ),
        subject(
            TOWER_TIMEOUT,
            TowerTimeout::new(Bare, Duration::from_secs(1)),
        ),
    ]);
    table("timeout, answer at once", &measured, TOWER_TIMEOUT)
}

/// Makes bare services.
#[derive(Clone, Copy, Debug)]
struct Maker;

impl Service<()> for Maker {
    type Response = Bare;
    type Error = Infallible;
    type Future = Ready<Result<Bare, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(Bare))
    }
}

#[derive(Clone, Default)]
struct TowerPolicy(std::sync::Arc<TpsBudget>);

impl Policy<(), (), Infallible> for TowerPolicy {
    type Future = Ready<()>;

    fn retry(&mut self, (): &mut (), result: &mut Result<(), Infallible>) -> Option<Ready<()>> {
        if result.is_ok() {
            self.0.deposit();
            return None;
        }
        self.0.withdraw().then(|| ready(()))
    }

    fn clone_request(&mut self, (): &()) -> Option<()> {
        Some(())
    }
}

const TOWER_RETRY: &str = "tower Retry + TpsBudget";
const TOWER_RECONNECT: &str = "tower Reconnect, not cloneable";
const TOWER_TIMEOUT: &str = "tower Timeout";

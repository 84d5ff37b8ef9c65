//! What each layer costs a request that succeeds at once, beside tower's own layer for the same
//! purpose: `cargo bench -p benches --bench layers`. The balancer, retries and reconnecting,
//! which have more to measure, have benches of their own: `--bench balance`, `--bench retry`,
//! `--bench reconnect_cost`.
//!
//! One thread, a service that is always ready and answers at the first poll, a `()` request. Results
//! of one run are in `docs/evaluation.md`.
#![allow(clippy::print_stdout, reason = "a bench prints its results")]

use std::time::Duration;

use benches::{
    CountingAllocator, measure,
    service::{Bare, bare, subject},
    table,
};
use tower::{Layer, timeout::Timeout as TowerTimeout};
use tower_timeout_ewma::AdaptiveTimeoutLayer;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime can be built");
    let _entered = runtime.enter();
    println!("{}", timeout());
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

const TOWER_TIMEOUT: &str = "tower Timeout";

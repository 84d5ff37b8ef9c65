//! What each layer costs a request that succeeds at once, beside tower's own layer for the same
//! purpose: `cargo bench -p benches --bench layers`. The balancer, retries and reconnecting,
//! which have more to measure, have benches of their own: `--bench balance`, `--bench retry`,
//! `--bench reconnect_cost`.
//!
//! One thread, a service that is always ready and answers at the first poll, or at the second where
//! the table says so, a `()` request. Results of one run are in `docs/evaluation.md`.
#![allow(clippy::print_stdout, reason = "a bench prints its results")]

use std::{hint, time::Duration};

use benches::{
    CountingAllocator, Subject, measure,
    service::{Bare, Later, bare, subject, subject_later},
    table,
    threads::{self, Pair},
};
use tokio::time::Instant;
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
    println!("{}", timeout_later());
    println!("{}", timeout_on_two_threads());
}

fn timeout() -> String {
    let measured = measure(vec![
        bare(),
        Subject::new("two clock reads", |requests| {
            for _ in 0..requests {
                let begun = Instant::now();
                hint::black_box(Instant::now().saturating_duration_since(begun));
            }
        }),
        subject(OURS, AdaptiveTimeoutLayer::new().layer(Bare)),
        subject(OURS_SMOOTHED, smoothed().layer(Bare)),
        subject(
            OURS_FIXED,
            AdaptiveTimeoutLayer::fixed(A_SECOND).layer(Bare),
        ),
        subject(TOWER_TIMEOUT, TowerTimeout::new(Bare, A_SECOND)),
    ]);
    table("timeout, answer at once", &measured, TOWER_TIMEOUT)
}

fn timeout_later() -> String {
    let measured = measure(vec![
        subject_later("bare service", Later),
        subject_later(OURS, AdaptiveTimeoutLayer::new().layer(Later)),
        subject_later(OURS_SMOOTHED, smoothed().layer(Later)),
        subject_later(
            OURS_FIXED,
            AdaptiveTimeoutLayer::fixed(A_SECOND).layer(Later),
        ),
        subject_later(TOWER_TIMEOUT, TowerTimeout::new(Later, A_SECOND)),
    ]);
    table(
        "timeout, answer at the second poll",
        &measured,
        TOWER_TIMEOUT,
    )
}

/// All handles share one estimator.
fn timeout_on_two_threads() -> String {
    let mut pairs = [
        Pair::of_service("bare service", &Bare),
        Pair::of_service(OURS, &AdaptiveTimeoutLayer::new().layer(Bare)),
        Pair::of_service(OURS_SMOOTHED, &smoothed().layer(Bare)),
    ];
    threads::table(
        "timeout, answer at once, one layer",
        &threads::measure(&mut pairs),
    )
}

fn smoothed() -> AdaptiveTimeoutLayer {
    let builder = AdaptiveTimeoutLayer::builder().deviations(4.0);
    builder.build().expect("the settings are allowed")
}

const TOWER_TIMEOUT: &str = "tower Timeout";
const OURS: &str = "tower-timeout-ewma";
const OURS_SMOOTHED: &str = "the same, smoothed";
const OURS_FIXED: &str = "the same, fixed";
const A_SECOND: Duration = Duration::from_secs(1);

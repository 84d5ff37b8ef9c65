//! What each layer costs a request that succeeds at once, beside tower's own layer for the same
//! purpose: `cargo bench -p benches --bench layers`. The balancer and retries, which have more to
//! measure, have benches of their own: `--bench balance`, `--bench retry`.
//!
//! One thread, a service that is always ready and answers at the first poll, or at the second where
//! the table says so, a `()` request. Results of one run are in `docs/evaluation.md`.
#![allow(clippy::print_stdout, reason = "a bench prints its results")]

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint,
    task::{Context, Poll},
    time::Duration,
};

use benches::{
    CountingAllocator, Subject, measure,
    service::{Bare, Cloned, Later, bare, subject, subject_later},
    table,
    threads::{self, Pair},
};
use tokio::{runtime::Runtime, time::Instant};
use tower::{
    Layer, Service, ServiceExt, reconnect::Reconnect as TowerReconnect,
    timeout::Timeout as TowerTimeout,
};
use tower_reconnect::ReconnectLayer;
use tower_timeout_ewma::AdaptiveTimeoutLayer;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime can be built");
    let _entered = runtime.enter();
    println!("{}", reconnect(&runtime));
    println!("{}", timeout());
    println!("{}", timeout_later());
    println!("{}", timeout_on_two_threads());
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

const TOWER_RECONNECT: &str = "tower Reconnect, not cloneable";
const TOWER_TIMEOUT: &str = "tower Timeout";
const OURS: &str = "tower-timeout-ewma";
const OURS_SMOOTHED: &str = "the same, smoothed";
const OURS_FIXED: &str = "the same, fixed";
const A_SECOND: Duration = Duration::from_secs(1);

//! What each layer costs a request that succeeds at once, beside tower's own layer for the same
//! purpose: `cargo bench -p benches --bench layers`. The balancer and retries, which have more to
//! measure, have benches of their own: `--bench balance`, `--bench retry`.
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

const TOWER_RECONNECT: &str = "tower Reconnect, not cloneable";
const TOWER_TIMEOUT: &str = "tower Timeout";

//! What retrying and hedging cost a request that needs neither, beside tower's:
//! `cargo bench -p benches --bench retry`.
//!
//! Hedges are measured when they have learnt when to send a second attempt: before that, neither sets a
//! timer, and tower's does not clone.
//!
//! The service is always ready. It answers a `()` at the first poll, or at the second where the table
//! says so; [`http`](self::http) has requests with headers and bodies. Results of one run are in
//! `docs/evaluation.md`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a bench prints its results")]

mod http;
mod later;
mod subjects;

use benches::{
    CountingAllocator, measure,
    service::{Bare, bare, send, subject},
    table,
    threads::{self, Pair},
};

use self::subjects::{
    OURS, OURS_HEDGE, TOWER, TOWER_HEDGE, armed, hedge, retry, tower_hedge, tower_retry,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime can be built");
    let _entered = runtime.enter();
    println!("{}", retries());
    println!("{}", on_two_threads());
    println!("{}", hedges());
    println!("{}", later::hedges());
    http::tables().iter().for_each(|table| println!("{table}"));
}

fn retries() -> String {
    let measured = measure(vec![
        bare(),
        subject(OURS, retry(Bare)),
        subject(TOWER, tower_retry(Bare)),
    ]);
    table("retry, nothing to retry", &measured, TOWER)
}

/// All handles share one budget.
fn on_two_threads() -> String {
    let mut pairs = [
        Pair::of_service("bare service", &Bare),
        Pair::of_service(OURS, &retry(Bare)),
        Pair::of_service(TOWER, &tower_retry(Bare)),
        Pair::of_service(OURS_HEDGE, &armed(hedge(Bare), send)),
    ];
    threads::table(
        "retry, nothing to retry, one budget",
        &threads::measure(&mut pairs),
    )
}

fn hedges() -> String {
    let measured = measure(vec![
        bare(),
        subject(OURS_HEDGE, armed(hedge(Bare), send)),
        subject(TOWER_HEDGE, tower_hedge(Bare)),
    ]);
    table("hedge, answer at once", &measured, TOWER_HEDGE)
}

//! What the balancer costs a request that succeeds at once, beside tower's:
//! `cargo bench -p benches --bench balance -- --help`.
//!
//! The service is always ready and answers at the first poll, and the request is `()`, so that what
//! is measured is the choice and its bookkeeping and nothing else.
#![allow(clippy::print_stdout, reason = "a bench prints its results")]

mod cli;
mod subjects;

use benches::{CountingAllocator, measure, table};
use clap::Parser as _;
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() {
    let arguments = cli::Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime can be built");
    let _entered = runtime.enter();
    one_thread(&runtime, &arguments.endpoints);
}

/// All sizes take turns too, so that they can be compared with each other.
fn one_thread(runtime: &Runtime, sizes: &[usize]) {
    let subjects: Vec<_> = sizes
        .iter()
        .map(|&endpoints| subjects::all(runtime, endpoints))
        .collect();
    let in_each = subjects.first().map_or(1, Vec::len);
    let measured = measure(subjects.into_iter().flatten().collect());
    for (endpoints, measured) in sizes.iter().zip(measured.chunks(in_each)) {
        let title = format!("one thread, {endpoints} endpoints");
        println!("{}", table(&title, measured, subjects::TOWER));
    }
}

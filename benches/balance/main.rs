//! What the balancer costs a request that succeeds at once, beside tower's:
//! `cargo bench -p benches --bench balance -- --help`.
//!
//! The service is always ready and answers at the first poll, and the request is `()`, so that what
//! is measured is the choice and its bookkeeping and nothing else. [`subjects`] are what is
//! compared, [`marks`] what is to come out of it.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a bench prints its results")]

mod cli;
mod instructions;
mod least;
mod marks;
mod memory;
mod subjects;
mod threads;

use std::process::ExitCode;

use benches::{
    CountingAllocator, Measured, measure, table,
    threads::{self as shared, Scaling},
};
use clap::Parser as _;
use tokio::runtime::{Builder, Runtime};

use self::{
    marks::{Results, Size},
    subjects::Kind,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    let sizes = &arguments.endpoints;
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime can be built");
    if let Some(kind) = arguments.once {
        for &endpoints in sizes {
            instructions::run_once(&runtime, kind, endpoints, arguments.requests);
        }
        return ExitCode::SUCCESS;
    }
    if arguments.instructions {
        return match instructions::table(sizes) {
            Ok(table) => {
                println!("{table}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("instructions were not counted: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let one = one_thread(&runtime, sizes);
    let two = if arguments.one_thread {
        sizes.iter().map(|_| Vec::new()).collect()
    } else {
        two_threads(&runtime, sizes)
    };
    println!("{}", judged(sizes, one, two));
    ExitCode::SUCCESS
}

/// All sizes take turns too, so that they can be compared with each other. Big sets push each other
/// out of the caches so, as the rest of a program would do: alone they are quicker.
fn one_thread(runtime: &Runtime, sizes: &[usize]) -> Vec<Vec<Measured>> {
    let of_size = |&endpoints: &usize| Kind::ALL.map(|kind| kind.subject(runtime, endpoints));
    let mut measured = measure(sizes.iter().flat_map(of_size).collect());
    let mut tables = Vec::new();
    for endpoints in sizes {
        let rest = measured.split_off(Kind::ALL.len());
        let title = format!("one thread, {endpoints} endpoints");
        println!("{}", table(&title, &measured, Kind::Tower.name()));
        tables.push(std::mem::replace(&mut measured, rest));
    }
    tables
}

fn two_threads(one: &Runtime, sizes: &[usize]) -> Vec<Vec<Scaling>> {
    let two = shared::runtime().expect("a runtime can be built");
    let mut pairs = threads::floors();
    let mut ends = vec![pairs.len()];
    for &endpoints in sizes {
        pairs.extend(threads::balancers(one, &two, endpoints));
        ends.push(pairs.len());
    }
    let mut measured = shared::measure(&mut pairs).into_iter();
    let mut tables = Vec::new();
    for (index, end) in ends.iter().enumerate() {
        let begin = index.checked_sub(1).map_or(0, |before| ends[before]);
        let measured: Vec<_> = measured.by_ref().take(end - begin).collect();
        let title = match index.checked_sub(1) {
            None => "floors".to_owned(),
            Some(size) => format!("shared, {} endpoints", sizes[size]),
        };
        println!("{}", shared::table(&title, &measured));
        tables.push(measured);
    }
    tables.split_off(1)
}

fn judged(sizes: &[usize], one: Vec<Vec<Measured>>, two: Vec<Vec<Scaling>>) -> Results {
    let memory = memory::measure(BIG_SET);
    println!("{}", memory::table(memory));
    let sizes = sizes.iter().zip(one).zip(two);
    Results {
        sizes: sizes
            .map(|((&endpoints, one_thread), two_threads)| Size {
                endpoints,
                one_thread,
                two_threads,
            })
            .collect(),
        memory,
    }
}

const BIG_SET: usize = 10_000;

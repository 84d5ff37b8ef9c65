//! What retrying and hedging cost a request that needs neither, beside tower's:
//! `cargo bench -p benches --bench retry -- --help`.
//!
//! Hedges are measured when they have learnt when to send a second attempt: before that, neither sets a
//! timer, and tower's does not clone.
//!
//! The service is always ready. It answers a `()` at the first poll, or at the second where the table
//! says so; [`http`](self::http) has requests with headers and bodies. Results of one run are in
//! `docs/evaluation.md`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a bench prints its results")]

mod cli;
mod http;
mod later;
mod subjects;

use std::{io, process::ExitCode};

use benches::{
    CountingAllocator, Subject, instructions, measure,
    service::{Bare, bare, send, subject},
    table,
    threads::{self, Pair},
};
use clap::Parser as _;

use self::{
    cli::{Arguments, Once},
    subjects::{
        OURS, OURS_HEDGE, TOWER, TOWER_HEDGE, armed, hedge, retry, tower_hedge, tower_retry,
    },
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime can be built");
    let _entered = runtime.enter();
    if let Some(Once { table, subject }) = arguments.once {
        let table = tables().into_iter().nth(table);
        let subject = table.and_then(|table| (table.subjects)().into_iter().nth(subject));
        let Some(mut subject) = subject else {
            eprintln!("there is no such row");
            return ExitCode::FAILURE;
        };
        subject.run(arguments.requests);
        return ExitCode::SUCCESS;
    }
    if !arguments.instructions {
        tables().into_iter().for_each(Table::show);
        println!("{}", on_two_threads());
        return ExitCode::SUCCESS;
    }
    for (number, table) in tables().into_iter().enumerate() {
        if let Err(error) = show_instructions(number, table) {
            eprintln!("instructions were not counted: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// What is compared with each other.
struct Table {
    title: &'static str,
    /// The name of the one that the others are compared with.
    peer: &'static str,
    subjects: Box<dyn FnOnce() -> Vec<Subject<'static>>>,
}

impl Table {
    fn new(
        title: &'static str,
        peer: &'static str,
        subjects: impl FnOnce() -> Vec<Subject<'static>> + 'static,
    ) -> Self {
        let subjects = Box::new(subjects);
        Self {
            title,
            peer,
            subjects,
        }
    }

    fn show(self) {
        let measured = measure((self.subjects)());
        println!("{}", table(self.title, &measured, self.peer));
    }
}

fn tables() -> Vec<Table> {
    let [get, keyed, post] = http::tables();
    vec![retries(), hedges(), later::hedges(), get, keyed, post]
}

fn retries() -> Table {
    Table::new("retry, nothing to retry", TOWER, || {
        vec![
            bare(),
            subject(OURS, retry(Bare)),
            subject(TOWER, tower_retry(Bare)),
        ]
    })
}

fn hedges() -> Table {
    Table::new("hedge, answer at once", TOWER_HEDGE, || {
        vec![
            bare(),
            subject(OURS_HEDGE, armed(hedge(Bare), send)),
            subject(TOWER_HEDGE, tower_hedge(Bare)),
        ]
    })
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

/// The same table for a request's instructions.
fn show_instructions(number: usize, table: Table) -> io::Result<()> {
    let names: Vec<_> = (table.subjects)().iter().map(Subject::name).collect();
    let mut counted = Vec::new();
    for place in 0..names.len() {
        let once = Once {
            table: number,
            subject: place,
        };
        counted.push(instructions::for_a_request(&["--once", &once.to_string()])?);
    }
    let peer = names.iter().position(|name| *name == table.peer);
    let base = peer.map_or(f64::NAN, |peer| counted[peer]);
    println!(
        "| {} | instructions | x {} |\n| --- | ---: | ---: |",
        table.title, table.peer
    );
    for (name, counted) in names.iter().zip(&counted) {
        println!("| {name} | {counted:.0} | {:.2} |", counted / base);
    }
    println!();
    Ok(())
}

//! What reconnecting costs while there is a connection, beside tower's, and beside the least that
//! sharing anything costs: `cargo bench -p benches --bench reconnect_cost`.
//!
//! The connection is a service that is always ready and answers a `()` at the first poll, so that
//! nothing but the layer is measured. Results of one run are in `docs/evaluation.md`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a bench prints its results")]

mod marks;
mod memory;
mod subjects;

use std::{io, process::ExitCode};

use benches::{
    CountingAllocator, instructions, measure, table,
    threads::{self, Scaling},
};
use clap::Parser;
use tokio::runtime::{Builder, Runtime};

use self::{marks::Results, subjects::Kind};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Measures reconnecting beside tower's, and prints Markdown.
#[derive(Debug, Parser)]
#[command(name = "reconnect_cost")]
struct Arguments {
    /// Count instructions instead; needs valgrind.
    #[arg(long)]
    instructions: bool,
    /// Send requests to this subject and do nothing else, for a profiler to watch.
    #[arg(long, value_name = "SUBJECT", value_parser = kind)]
    once: Option<Kind>,
    /// How many requests that is.
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    requests: u32,
    /// What cargo says to a bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime can be built");
    if let Some(kind) = arguments.once {
        kind.subject(&runtime).run(arguments.requests);
        return ExitCode::SUCCESS;
    }
    if arguments.instructions {
        return match count_instructions() {
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
    let one_thread = measure(Kind::ALL.map(|kind| kind.subject(&runtime)).into());
    println!(
        "{}",
        table("one thread", &one_thread, Kind::TowerKept.name())
    );
    let two_threads = on_two_threads(&runtime);
    println!("{}", threads::table("one connection", &two_threads));
    let memory = memory::measure();
    println!("{memory}");
    println!(
        "{}",
        Results {
            one_thread,
            two_threads,
            memory,
        }
    );
    ExitCode::SUCCESS
}

fn on_two_threads(runtime: &Runtime) -> Vec<Scaling> {
    let pairs = Kind::ALL.into_iter().filter_map(|kind| kind.pair(runtime));
    threads::measure(&mut pairs.collect::<Vec<_>>())
}

fn count_instructions() -> io::Result<String> {
    let mut table = String::from("| | instructions for a request |\n| --- | ---: |\n");
    for kind in Kind::ALL {
        let counted = instructions::for_a_request(&["--once", kind.word()])?;
        table.push_str(&format!("| {} | {counted:.0} |\n", kind.name()));
    }
    Ok(table)
}

fn kind(word: &str) -> Result<Kind, String> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word);
    kind.ok_or_else(|| format!("there are {}", Kind::ALL.map(Kind::word).join(", ")))
}

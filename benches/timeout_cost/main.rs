//! What a timeout costs beside tower's: `cargo bench -p benches --bench timeout_cost`, and with
//! `-- --instructions` by valgrind's callgrind, which a busy machine does not disturb.
//!
//! A service that is always ready and answers at the first poll, or at the second where the table says
//! so, a `()` request. Results of one run are in `docs/evaluation.md`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a bench prints its results")]

mod subjects;

use std::{fmt::Write as _, io, process::ExitCode};

use benches::{
    CountingAllocator, instructions, measure, table,
    threads::{self, Scaling},
};
use clap::Parser;

use self::subjects::{Kind, When};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Measures timeouts beside tower's, and prints Markdown.
#[derive(Debug, Parser)]
#[command(name = "timeout_cost")]
struct Arguments {
    /// Count instructions instead; needs valgrind.
    #[arg(long)]
    instructions: bool,
    /// Send requests to this subject and do nothing else, for a profiler to watch.
    #[arg(long, value_name = "SUBJECT", value_parser = kind)]
    once: Option<Kind>,
    /// Let it answer at the second poll.
    #[arg(long)]
    later: bool,
    /// How many requests that is.
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    requests: u32,
    /// What cargo says to a bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime can be built");
    let _entered = runtime.enter();
    if let Some(kind) = arguments.once {
        let when = match arguments.later {
            true => When::SecondPoll,
            false => When::AtOnce,
        };
        kind.subject(when).run(arguments.requests);
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
    for when in [When::AtOnce, When::SecondPoll] {
        println!("{}", costs(when));
    }
    println!("{}", on_two_threads());
    ExitCode::SUCCESS
}

fn costs(when: When) -> String {
    let subjects = Kind::of(when).map(|kind| kind.subject(when));
    let title = format!("timeout, answer {when}");
    table(&title, &measure(subjects.collect()), Kind::Tower.name())
}

fn on_two_threads() -> String {
    let pairs = Kind::ALL.into_iter().filter_map(Kind::pair);
    // Not in turns: a pair that rests would not have as many requests as there can be.
    let measured = pairs.flat_map(|pair| threads::measure(&mut [pair]));
    let measured: Vec<Scaling> = measured.collect();
    threads::table("timeout, answer at once, one layer", &measured)
}

fn count_instructions() -> io::Result<String> {
    let mut table = String::from(
        "| instructions for a request | at once | at the second poll |\n\
         | --- | ---: | ---: |\n",
    );
    for kind in Kind::ALL {
        // Writing to a string cannot fail.
        let _ = write!(table, "| {} |", kind.name());
        for when in [When::AtOnce, When::SecondPoll] {
            if !kind.is_of(when) {
                table.push_str(" – |");
                continue;
            }
            let mut arguments = vec!["--once", kind.word()];
            arguments.extend((when == When::SecondPoll).then_some("--later"));
            let counted = instructions::for_a_request(&arguments)?;
            let _ = write!(table, " {counted:.0} |");
        }
        table.push('\n');
    }
    Ok(table)
}

fn kind(word: &str) -> Result<Kind, String> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word);
    kind.ok_or_else(|| format!("there are {}", Kind::ALL.map(Kind::word).join(", ")))
}

//! What an estimator for each key costs an adaptive timeout, whose keys are behind locks:
//! `cargo bench -p benches --bench timeout_keys`, and with `-- --instructions` by valgrind's callgrind,
//! which a busy machine does not disturb. Results are in `tower-timeout-ewma/README.md`.
//!
//! A service that is always ready and answers at the first poll, a `()` request; keys are taken in turn.
#![allow(clippy::print_stdout, reason = "a bench prints its results")]

use std::{
    cell::Cell,
    env, io,
    process::{Command, Stdio},
};

use benches::{
    CountingAllocator, Subject, measure,
    service::{Bare, subject},
    table,
    threads::{self, Pair},
};
use tower::{Layer, Service};
use tower_timeout_ewma::{AdaptiveTimeoutLayer, BoxError};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> io::Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    if let ["--once", name, requests] = arguments[..] {
        let requests = requests.parse().map_err(io::Error::other)?;
        for kind in KINDS.iter().filter(|kind| kind.0 == name) {
            kind.subject().run(requests);
        }
        return Ok(());
    }
    if arguments.contains(&"--instructions") {
        println!("| instructions for a request | |\n| --- | ---: |");
        for Kind(name, _) in KINDS {
            println!("| {name} | {:.0} |", instructions(name)?);
        }
        return Ok(());
    }
    let measured = measure(KINDS.iter().map(Kind::subject).collect());
    println!("{}", table("timeout, answer at once", &measured, SHARED));
    let mut pairs: Vec<_> = KINDS.iter().map(Kind::pair).collect();
    let scaling = threads::measure(&mut pairs);
    println!("{}", threads::table("timeout", &scaling));
    Ok(())
}

/// A subject, and how many keys its requests have.
#[derive(Clone, Copy)]
struct Kind(&'static str, u32);

impl Kind {
    fn subject(&self) -> Subject<'static> {
        match self.1 {
            0 => subject(self.0, AdaptiveTimeoutLayer::new().layer(Bare)),
            keys => subject(self.0, keyed(keys)),
        }
    }

    fn pair(&self) -> Pair<'static> {
        match self.1 {
            0 => Pair::of_service(self.0, &AdaptiveTimeoutLayer::new().layer(Bare)),
            keys => Pair::of_service(self.0, &keyed(keys)),
        }
    }
}

fn keyed(keys: u32) -> impl Service<(), Response = (), Error = BoxError> + Clone + Send {
    // Of each subject, or another's turn would take the keys back to their first.
    let last = Cell::new(0);
    let layer = AdaptiveTimeoutLayer::builder()
        .key(move |(): &()| {
            let key: u32 = last.get() + 1;
            last.set(key % keys);
            key
        })
        .build();
    layer.expect("the defaults are valid").layer(Bare)
}

/// This program under callgrind, twice: what the longer run has more is what its requests took.
fn instructions(name: &str) -> io::Result<f64> {
    let collected = |requests: u32| {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(env::current_exe()?)
            .args(["--once", name, &requests.to_string()])
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said
            .lines()
            .find_map(|line| line.split("Collected : ").nth(1));
        let line = line.ok_or_else(|| io::Error::other(format!("valgrind says: {said}")))?;
        line.trim().parse::<u64>().map_err(io::Error::other)
    };
    Ok((collected(LONG)? - collected(SHORT)?) as f64 / f64::from(LONG - SHORT))
}

const SHARED: &str = "one estimator for all";

const KINDS: [Kind; 4] = [
    Kind(SHARED, 0),
    Kind("the same key each time", 1),
    Kind("1,000 keys in turn", 1000),
    Kind(
        "3,000 keys in turn, so that each is forgotten before it comes back",
        3000,
    ),
];

/// Beyond the first use of each key.
const SHORT: u32 = 10_000;
const LONG: u32 = 30_000;

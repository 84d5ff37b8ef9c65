//! The command line.

use clap::Parser;

use super::subjects::Kind;

/// Measures the balancer beside tower's, and prints Markdown.
#[derive(Debug, Parser)]
#[command(name = "balance")]
pub(super) struct Arguments {
    /// Numbers of endpoints, by commas.
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        default_values_t = [3, 10, 16, 17, 100, 10_000]
    )]
    pub(super) endpoints: Vec<usize>,
    /// Measure one thread only, which takes a fraction of the time.
    #[arg(long)]
    pub(super) one_thread: bool,
    /// Count instructions instead; needs valgrind.
    #[arg(long)]
    pub(super) instructions: bool,
    /// Send requests to this subject and do nothing else, for a profiler to watch.
    #[arg(long, value_name = "SUBJECT", value_parser = kind)]
    pub(super) once: Option<Kind>,
    /// How many requests that is, to a set of each size.
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    pub(super) requests: u32,
    /// What cargo says to a bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn kind(word: &str) -> Result<Kind, String> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word);
    kind.ok_or_else(|| format!("there are {}", Kind::ALL.map(Kind::word).join(", ")))
}

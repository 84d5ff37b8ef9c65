//! The command line.

use std::{fmt, str::FromStr};

use clap::Parser;

/// Measures retries and hedges beside tower's, and prints Markdown.
#[derive(Debug, Parser)]
#[command(name = "retry")]
pub(super) struct Arguments {
    /// Count instructions instead; needs valgrind.
    #[arg(long)]
    pub(super) instructions: bool,
    /// Send requests to this subject and do nothing else, for a profiler to watch: the numbers of its
    /// table and its row, as in 0,1.
    #[arg(long, value_name = "TABLE,ROW")]
    pub(super) once: Option<Once>,
    /// How many requests that is.
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    pub(super) requests: u32,
    /// What cargo says to a bench.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A subject, counted from 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Once {
    pub(super) table: usize,
    pub(super) subject: usize,
}

impl fmt::Display for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.table, self.subject)
    }
}

impl FromStr for Once {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once(',').and_then(|(table, subject)| {
            let (table, subject) = (table.parse().ok()?, subject.parse().ok()?);
            Some(Self { table, subject })
        });
        numbers.ok_or_else(|| "two numbers with a comma between them".to_owned())
    }
}

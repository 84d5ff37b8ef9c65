//! The command line.

use clap::Parser;

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
    /// What cargo says to a bench.
    #[arg(long, hide = true)]
    bench: bool,
}

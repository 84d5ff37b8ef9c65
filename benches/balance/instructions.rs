//! Instructions for a request, over sets of each size.

use std::io;

use benches::instructions;
use tokio::runtime::Runtime;

use super::subjects::Kind;

/// Prints nothing but what it fails with: it is what runs under valgrind.
pub(super) fn run_once(runtime: &Runtime, kind: Kind, endpoints: usize, requests: u32) {
    kind.subject(runtime, endpoints).run(requests);
}

/// A Markdown table of all subjects over sets of these sizes.
pub(super) fn table(sizes: &[usize]) -> io::Result<String> {
    use std::fmt::Write as _;
    let mut table = String::from("| instructions for a request |");
    // Writing to a string cannot fail.
    for endpoints in sizes {
        let _ = write!(table, " N = {endpoints} |");
    }
    let _ = write!(table, "\n| --- |{}\n", " ---: |".repeat(sizes.len()));
    for kind in Kind::ALL {
        let _ = write!(table, "| {} |", kind.name());
        for &endpoints in sizes {
            let _ = write!(table, " {:.0} |", for_a_request(kind, endpoints)?);
        }
        table.push('\n');
    }
    Ok(table)
}

fn for_a_request(kind: Kind, endpoints: usize) -> io::Result<f64> {
    let endpoints = endpoints.to_string();
    instructions::for_a_request(&["--endpoints", &endpoints, "--once", kind.word()])
}

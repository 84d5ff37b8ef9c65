//! Instructions for a request, which are the same on a busy machine: this program runs itself under
//! valgrind's callgrind twice, and what the longer run has more is what its requests took.

use std::{
    env,
    io::{self, ErrorKind},
    process::{Command, Stdio},
};

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
    let short = collected(kind, endpoints, SHORT)?;
    let long = collected(kind, endpoints, LONG)?;
    Ok((long as f64 - short as f64) / f64::from(LONG - SHORT))
}

/// All instructions of a run.
fn collected(kind: Kind, endpoints: usize, requests: u32) -> io::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["--endpoints", &endpoints.to_string()])
        .args(["--once", kind.word()])
        .args(["--requests", &requests.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => io::Error::new(ErrorKind::NotFound, "valgrind is not installed"),
            _ => error,
        })?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    collected
        .filter(|_| output.status.success())
        .ok_or_else(|| io::Error::other(format!("valgrind failed:\n{said}")))
}

const SHORT: u32 = 2_000;
const LONG: u32 = 12_000;

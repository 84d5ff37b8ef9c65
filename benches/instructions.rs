//! Instructions for a request, which are the same on a busy machine: a bench runs itself under
//! valgrind's callgrind twice, and what the longer run has more is what its requests took.

use std::{
    env,
    io::{self, ErrorKind},
    process::{Command, Stdio},
};

/// Runs this program with these arguments and `--requests` of two numbers.
///
/// # Errors
///
/// When valgrind is missing or fails.
pub fn for_a_request(arguments: &[&str]) -> io::Result<f64> {
    let short = collected(arguments, SHORT)?;
    let long = collected(arguments, LONG)?;
    Ok((long as f64 - short as f64) / f64::from(LONG - SHORT))
}

/// All instructions of a run.
fn collected(arguments: &[&str], requests: u32) -> io::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(arguments)
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

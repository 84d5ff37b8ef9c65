//! The examples of the layers, run as a user would.
#![allow(clippy::unwrap_used)]

use std::{
    env,
    path::PathBuf,
    process::{Command, Output},
};

#[test]
fn each_example_ends_well() {
    for name in [
        "balance",
        "retry",
        "reconnect",
        "timeout",
        "deadline",
        "mtls",
        "all_five",
    ] {
        let (success, output) = run(name);
        assert!(success && !output.is_empty(), "{name}: {output}");
    }
}

#[test]
fn servers_know_their_clients_and_let_in_who_is_allowed() {
    for (name, expected) in [
        (
            "mtls_hyper",
            "/shop/web: 200 OK hello, spiffe://example.org/shop/web\n/stranger: 403 Forbidden",
        ),
        (
            "mtls_axum",
            "/shop/web: hello, spiffe://example.org/shop/web (200, HTTP/2)\n/stranger: (403, HTTP/2)",
        ),
        (
            "mtls_tonic",
            "/shop/web: Serving\n/stranger: PermissionDenied, the peer is not allowed",
        ),
    ] {
        let (success, output) = run(name);
        let lines: Vec<_> = output.lines().map(str::trim_end).collect();
        assert!(success, "{name}: {output}");
        assert_eq!(lines.join("\n"), expected, "{name}");
    }
}

/// Whether it ended well, and what it said.
fn run(name: &str) -> (bool, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(example(name)).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (status.success(), text(&stdout) + &text(&stderr))
}

/// Where cargo builds it: beside the folder of this test.
fn example(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let file = test.parent().and_then(|folder| folder.parent());
    let file = file.unwrap().join("examples").join(name);
    assert!(
        file.is_file(),
        "build it first: cargo build -p examples --examples"
    );
    file
}

//! `docs/mtls-in-ten-minutes.md`, command by command.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::support::port::ReservedPort;

#[test]
fn the_guide_does_what_it_says() {
    let guide = fs::read_to_string("../docs/mtls-in-ten-minutes.md").unwrap();
    let steps = steps(&guide);
    assert!(steps.len() >= 7, "{}", steps.len());

    let mut script = "set -eu\ntrap 'kill $(jobs -p)' EXIT\n".to_owned();
    for (number, step) in steps.iter().enumerate() {
        script += &format!("echo {MARK}{number}\n{}", step.commands);
    }
    let ports = ["8443", "9001", "9990"].map(|port| (port, ReservedPort::new()));
    for (port, reserved) in &ports {
        script = script.replace(port, &reserved.address.port().to_string());
    }
    let output = bash(&script);
    let outputs: Vec<_> = output.split(MARK).skip(1).collect();
    assert_eq!(outputs.len(), steps.len(), "{output}");
    for (step, output) in steps.iter().zip(outputs) {
        let output = output.split_once('\n').map_or("", |(_, rest)| rest);
        if let Some(shown) = &step.shown {
            assert_eq!(output.trim(), shown.trim(), "{}", step.commands);
        }
    }
    let last = output.lines().filter(|line| line.contains("handshakes"));
    let last: Vec<_> = last.collect();
    assert!(
        last.iter()
            .any(|line| line.contains("no_certificate") && line.ends_with(" 1")),
        "{last:?}"
    );
}

/// A block of commands, and the output that the guide shows for it.
struct Step {
    commands: String,
    shown: Option<String>,
}

fn steps(guide: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut rest = guide;
    while let Some((_, block)) = rest.split_once("\n```") {
        let (kind, block) = block.split_once('\n').unwrap();
        let (text, after) = block.split_once("```").unwrap();
        match kind {
            "sh" => steps.push(Step {
                commands: text.to_owned(),
                shown: None,
            }),
            "text" => steps.last_mut().unwrap().shown = Some(text.to_owned()),
            other => panic!("a block of another kind: {other}"),
        }
        rest = after;
    }
    steps
}

fn bash(script: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let proxy = Path::new(env!("CARGO_BIN_EXE_proxy")).parent().unwrap();
    let path = format!("{}:{}", proxy.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-c", script])
        .current_dir(directory.path())
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (stdout, stderr) = (output.stdout, output.stderr);
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    assert!(
        output.status.success(),
        "{stdout}\n{}",
        String::from_utf8_lossy(&stderr)
    );
    stdout
}

const MARK: &str = "--- step ";

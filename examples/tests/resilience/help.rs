//! What the command line teaches, and what it says of a good configuration.

use std::path::Path;

use crate::support::{
    cleartext,
    pki::Pki,
    process::{Ended, run},
};

#[tokio::test]
async fn bad_usage() {
    for args in [
        &["fly"][..],
        &["run"],
        &["check"],
        &["run", "--config"],
        &["run", "--config", "a.toml", "--fast"],
        &["demo", "--seconds", "soon"],
        &["demo", "--seconds", "0"],
    ] {
        let ended = run(args).await;
        assert_eq!(ended.code, Some(2), "{args:?}");
        assert_eq!(ended.stdout, "", "{args:?}");
        assert!(
            ended.stderr.contains("error: ") && ended.stderr.contains("--help"),
            "{args:?}: {}",
            ended.stderr
        );
    }
    for (args, meant) in [
        (&["chek"][..], "'check'"),
        (&["run", "--confg", "a.toml"], "'--config'"),
    ] {
        let ended = run(args).await;
        assert_eq!(ended.code, Some(2), "{args:?}");
        assert!(ended.stderr.contains(meant), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn version_and_help_teach() {
    let version = run(&["--version"]).await;
    assert_eq!(version.code, Some(0));
    assert_eq!(
        version.stdout,
        format!("proxy {}\n", env!("CARGO_PKG_VERSION"))
    );

    let help = run(&["--help"]).await;
    assert_eq!(help.code, Some(0));
    for line in [
        "Usage: proxy [COMMAND]",
        "  proxy check --config proxy.toml ",
        "  proxy run --config proxy.toml ",
        "  proxy demo --seconds 30 ",
        "  GET /live /ready /metrics /clusters /config, GET and PUT /log-level, POST /drain",
        "  SIGTERM, SIGINT   drain",
        "  SIGHUP ",
        "Logs go to standard error. PROXY_LOG filters them; by default it is",
        "  info,access=off,tower_mtls=error,tower_mtls::source=info,tower_mtls::connections=info,h2=error",
        "  0  done",
        "  1  bad configuration",
        "  2  bad usage",
        "  3  could not start",
    ] {
        let found = help.stdout.lines().any(|found| found.starts_with(line));
        assert!(found, "no line {line:?} in {}", help.stdout);
    }
    for word in [
        "Without a command it runs the demo",
        "http://127.0.0.1:9990",
    ] {
        assert!(help.stdout.contains(word), "no {word:?} in {}", help.stdout);
    }
    let widest = help.stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest < Some(130), "{}", help.stdout);
}

#[tokio::test]
async fn each_command_teaches_itself() {
    for (command, words) in [
        ("demo", ["--seconds", "--chaos", "Example: proxy demo"]),
        (
            "run",
            [
                "--config",
                "\n  proxy run --config proxy.toml",
                "shutdown.grace",
            ],
        ),
        (
            "check",
            [
                "--config",
                "\n  proxy check --config proxy.toml",
                "file:line:column",
            ],
        ),
    ] {
        let help = run(&[command, "--help"]).await;
        assert_eq!(help.code, Some(0));
        for word in words {
            assert!(help.stdout.contains(word), "no {word:?} in {}", help.stdout);
        }
        let short = run(&[command, "-h"]).await;
        assert_eq!(short.code, Some(0));
        assert!(
            short.stdout.contains(&format!("Example: proxy {command}")),
            "{}",
            short.stdout
        );
    }
}

#[tokio::test]
async fn the_configuration_that_help_shows_is_good() {
    let help = run(&["--help"]).await.stdout;
    let lines = help
        .lines()
        .skip_while(|line| *line != "The smallest configuration, proxy.toml:");
    let example = lines
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with("    "));
    let example: Vec<_> = example.map(str::trim_start).collect();
    assert_eq!(
        example.iter().filter(|line| line.contains(" = ")).count(),
        5,
        "{example:?}"
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proxy.toml");
    std::fs::write(&path, example.join("\n")).unwrap();
    let ended = check(&path).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let manual = include_str!("../../../docs/operations.md").lines();
    let manual: Vec<_> = manual.map(str::trim_start).collect();
    assert!(
        manual.join("\n").contains(&example.join("\n")),
        "the manual shows another one"
    );
    // Every line of it is needed: without one of them it is bad.
    for left_out in (0..example.len()).filter(|&line| !example[line].is_empty()) {
        let mut fewer = example.clone();
        fewer.remove(left_out);
        std::fs::write(&path, fewer.join("\n")).unwrap();
        let ended = check(&path).await;
        assert_eq!(ended.code, Some(1), "{fewer:?}");
    }
}

#[tokio::test]
async fn check_says_good_and_names_what_is_cleartext() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proxy.toml");
    std::fs::write(&path, cleartext(CLUSTER)).unwrap();
    let ended = check(&path).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr, "");
    let expected = format!(
        "{}: 1 listener, 1 cluster: good; cleartext: listener `web`, cluster `backend`\n",
        path.display()
    );
    assert_eq!(ended.stdout, expected);
}

#[tokio::test]
async fn check_warns_of_an_admin_listener_for_all() {
    let pki = Pki::new("example.org");
    for (address, is_open) in [
        ("127.0.0.1:9990", false),
        ("[::1]:9990", false),
        ("0.0.0.0:9990", true),
        ("192.0.2.1:9990", true),
    ] {
        let config = cleartext(CLUSTER).replacen("127.0.0.1:0", address, 1);
        let ended = check(&pki.write("proxy.toml", &config)).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let warning = format!("warning: the admin listener ({address}) is not on loopback");
        assert_eq!(ended.stdout.contains(&warning), is_open, "{}", ended.stdout);
    }
}

async fn check(config: &Path) -> Ended {
    run(&["check", "--config", config.to_str().unwrap()]).await
}

const CLUSTER: &str = "endpoints = [\"127.0.0.1:9\"]";

//! What cannot start says why in one line, and by its exit code.

use std::{
    net::TcpListener,
    path::Path,
    time::{Duration, SystemTime},
};

use examples::config::Config;

use crate::support::{
    cleartext,
    pki::Pki,
    process::{Ended, run},
};

#[tokio::test]
async fn a_listeners_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = cleartext(CLUSTER).replacen(
        "listen = \"127.0.0.1:0\"\ncluster",
        &format!("listen = \"{address}\"\ncluster"),
        1,
    );
    let line = could_not_start(&config, &Pki::new("example.org")).await;
    for word in ["listener `web`", &address.to_string(), "in use", "another"] {
        assert!(line.contains(word), "no {word:?} in {line}");
    }
}

#[tokio::test]
async fn the_admin_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = cleartext(CLUSTER).replacen("127.0.0.1:0", &address.to_string(), 1);
    let line = could_not_start(&config, &Pki::new("example.org")).await;
    for word in ["admin", &address.to_string(), "in use", "another"] {
        assert!(line.contains(word), "no {word:?} in {line}");
    }
}

#[tokio::test]
async fn an_address_that_is_not_ours() {
    let config = cleartext(CLUSTER).replacen("127.0.0.1:0", "192.0.2.1:9990", 1);
    let line = could_not_start(&config, &Pki::new("example.org")).await;
    assert!(
        line.contains("admin") && line.contains("no such address"),
        "{line}"
    );
}

#[tokio::test]
async fn keys_and_certificates_that_cannot_be_used() {
    let pki = Pki::new("example.org");
    pki.dns("server", "server.test");
    pki.dns("other", "server.test");
    pki.write(
        "garbage.pem",
        "-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----\n",
    );
    pki.write(
        "garbage.key",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    );
    pki.write("empty.pem", "");
    std::fs::create_dir(pki.path("folder.key")).unwrap();
    let cases = [
        ("missing.pem", "server.key", "missing.pem cannot be read"),
        ("server.pem", "missing.key", "missing.key cannot be read"),
        ("server.pem", "folder.key", "folder.key cannot be read"),
        (
            "server.pem",
            "other.key",
            "other.key holds a private key that does not belong to",
        ),
        ("garbage.pem", "server.key", "garbage.pem is not valid PEM"),
        (
            "server.pem",
            "garbage.key",
            "garbage.key holds a private key that cannot be used",
        ),
        ("empty.pem", "server.key", "empty.pem holds no certificate"),
        (
            "server.pem",
            "server.pem",
            "server.pem holds no private key",
        ),
    ];
    for (certificate, key, words) in cases {
        let tls = format!(
            "[listener.tls]\ncertificate = \"{certificate}\"\nprivate_key = \"{key}\"\n\n[[cluster]]"
        );
        let line =
            could_not_start(&cleartext(CLUSTER).replacen("[[cluster]]", &tls, 1), &pki).await;
        assert!(line.contains("listener `web`: "), "{line}");
        assert!(line.contains(words), "no {words:?} in {line}");
    }
}

#[tokio::test]
async fn a_clusters_trust_bundle_that_cannot_be_used() {
    let pki = Pki::new("example.org");
    pki.dns("leaf", "server.test");
    for (bundle, words) in [
        ("missing.pem", "missing.pem cannot be read"),
        (
            "leaf.pem",
            "leaf.pem holds a certificate that is not a certificate authority's",
        ),
    ] {
        let tls =
            format!("{CLUSTER}\ntls = {{ ca = \"{bundle}\", server_name = \"server.test\" }}");
        let line = could_not_start(&cleartext(&tls), &pki).await;
        assert!(
            line.contains("cluster `backend`: ") && line.contains(words),
            "{line}"
        );
    }
}

#[tokio::test]
async fn revocation_lists_and_federated_bundles_that_cannot_be_used_and_an_expired_certificate() {
    let pki = Pki::new("example.org");
    pki.svid("server", "/server");
    let (now, day) = (SystemTime::now(), Duration::from_secs(86_400));
    let expired = pki.authority.valid(now - 2 * day, now - day);
    pki.keep("expired", expired.svid("/server").unwrap());
    for (certificate, keys, words) in [
        (
            "server",
            "crl = [\"missing.crl\"]",
            "missing.crl cannot be read",
        ),
        (
            "server",
            "crl = [\"ca.pem\"]",
            "ca.pem holds no revocation list",
        ),
        (
            "server",
            "federated = { \"partner.example\" = \"server.pem\" }",
            "server.pem holds a certificate that is not a certificate authority's",
        ),
        (
            "expired",
            "",
            "expired.pem holds a certificate that has expired",
        ),
    ] {
        let tls = format!(
            "[listener.tls]\ncertificate = \"{certificate}.pem\"\nprivate_key = \"{certificate}.key\"\nclient_ca = \"ca.pem\"\ntrust_domain = \"example.org\"\nallow_any = true\n{keys}\n\n[[cluster]]"
        );
        let line =
            could_not_start(&cleartext(CLUSTER).replacen("[[cluster]]", &tls, 1), &pki).await;
        assert!(line.contains("listener `web`: "), "{line}");
        assert!(line.contains(words), "no {words:?} in {line}");
    }
}

#[test]
fn the_admin_listener_is_on_loopback_unless_said_otherwise() {
    let listener =
        "[[listener]]\nname = \"web\"\nlisten = \"127.0.0.1:0\"\ncluster = \"backend\"\n";
    let config = format!("{listener}[[cluster]]\nname = \"backend\"\n{CLUSTER}");
    let config = Config::parse(&config, Path::new("proxy.toml")).unwrap();
    assert_eq!(config.admin.to_string(), "127.0.0.1:9990");
}

#[tokio::test]
async fn a_log_filter_of_the_environment_that_is_none_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proxy.toml");
    std::fs::write(
        &path,
        cleartext(&format!(
            "{CLUSTER}\ntls = {{ ca = \"no.pem\", server_name = \"a.test\" }}"
        )),
    )
    .unwrap();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_proxy"));
    command
        .args(["run", "--config"])
        .arg(&path)
        .env("PROXY_LOG", "debgu");
    let ended = command.output().await.unwrap();
    let log = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(3), "{log}");
    assert!(
        log.contains("PROXY_LOG is ignored") && log.contains("`debgu` is no level"),
        "{log}"
    );
}

/// Runs it, and returns the one line that says why it did not start.
async fn could_not_start(config: &str, pki: &Pki) -> String {
    let ended = on_file("run", &pki.write("proxy.toml", config)).await;
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    let lines: Vec<_> = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with("proxy: "))
        .collect();
    let [line] = lines[..] else {
        panic!("not one line: {}", ended.stderr)
    };
    assert_eq!(
        ended.stderr.lines().last(),
        Some(line),
        "it is not the last word"
    );
    line.to_owned()
}

async fn on_file(command: &str, config: &Path) -> Ended {
    run(&[command, "--config", config.to_str().unwrap()]).await
}

const CLUSTER: &str = "endpoints = [\"127.0.0.1:9\"]";

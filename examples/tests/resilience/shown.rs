//! `/config` shows what runs in the words of the file, and nothing secret.

use std::{net::SocketAddr, path::Path};

use examples::config::Config;
use http::StatusCode;
use serde_json::Value;

use crate::support::{admin, cleartext, pki::Pki, start};

#[test]
fn every_value_of_a_full_configuration_is_shown() {
    let written: Value = serde_json::to_value(EVERY_KEY.parse::<toml::Table>().unwrap()).unwrap();
    let shown: Value = serde_json::from_str(&shown(EVERY_KEY)).unwrap();
    let mut missing = Vec::new();
    compare("", &written, &shown, &mut missing);
    assert_eq!(missing, Vec::<String>::new(), "in {shown:#}");
}

#[test]
fn defaults_are_shown() {
    let shown: Value = serde_json::from_str(&shown(&cleartext(CLUSTER))).unwrap();
    for (pointer, value) in [
        ("/limits/body_bytes", Value::from(0)),
        ("/limits/header_bytes", "64KiB".into()),
        ("/limits/connection_age", "1h".into()),
        ("/cluster/0/protocol", "http1".into()),
        ("/cluster/0/balance/slow_start", "10s".into()),
        ("/cluster/0/balance/subset", 0.into()),
        ("/cluster/0/balance/eject/consecutive", 3.into()),
        ("/cluster/0/balance/eject/panic", 0.5.into()),
        ("/cluster/0/reconnect/backoff/base", "125ms".into()),
        ("/cluster/0/reconnect/max_dials", 64.into()),
        ("/cluster/0/reconnect/first_dial_jitter", "0s".into()),
        ("/cluster/0/reconnect/eager", false.into()),
        ("/cluster/0/tls", "off".into()),
    ] {
        assert_eq!(shown.pointer(pointer), Some(&value), "{pointer}");
    }
    assert_eq!(shown.pointer("/cluster/0/retry"), None, "there are none");
    let choices = shown.pointer("/cluster/0/balance/choices");
    assert_eq!(choices, None, "the balancer's own rule");
}

/// Of what is missing there: the keys' paths.
#[test]
fn what_is_shown_could_be_written() {
    let first = shown(EVERY_KEY);
    let mut value: Value = serde_json::from_str(&first).unwrap();
    add_keys(&mut value);
    // A host that is not shown is no host.
    value["route"][0]["headers"]["set"]["host"] = "a.test".into();
    let written = toml::to_string(&value).unwrap();
    assert_eq!(shown(&written), first, "{written}");
}

#[tokio::test]
async fn no_key_and_no_path_to_one_is_shown() {
    let pki = Pki::new("example.org");
    let issued = pki.svid("server", "/server");
    let tls = "tls = { ca = \"ca.pem\", certificate = \"server.pem\", private_key = \"server.key\", trust_domain = \"example.org\" }";
    let config = cleartext(&format!("{CLUSTER}\n{tls}")).replacen(
        "[[cluster]]",
        "[listener.tls]\ncertificate = \"server.pem\"\nprivate_key = \"server.key\"\nclient_ca = \"ca.pem\"\nallow_any = true\n[[cluster]]",
        1,
    );
    let proxy = start(&pki.directory, &config);
    let (status, shown) = admin::ask(proxy.admin(), "GET", "/config", "").await;
    assert_eq!(status, StatusCode::OK);
    let certificate = pki.path("server.pem").display().to_string();
    assert_eq!(shown.matches(&certificate).count(), 2, "{shown}");
    let lines = issued.key_pem().lines().map(str::to_owned);
    for secret in lines.chain(["server.key".to_owned(), "private_key".to_owned()]) {
        assert!(!shown.contains(&secret), "{secret:?} in {shown}");
    }
}

fn shown(text: &str) -> String {
    let config = Config::parse(text, Path::new("proxy.toml"));
    let config = config.unwrap_or_else(|error| panic!("{error} in {text}"));
    config.to_json().unwrap()
}

/// Collects what is written and not shown, or shown with another value.
fn compare(path: &str, written: &Value, shown: &Value, missing: &mut Vec<String>) {
    match (written, shown) {
        (Value::Object(written), Value::Object(shown)) => {
            for (key, written) in written {
                let path = format!("{path}/{key}");
                // What `identity` means is shown where it applies.
                let is_value_of_a_field = path.contains("headers/set/");
                if is_value_of_a_field && shown.get(key) == Some(&HIDDEN.into()) {
                    continue;
                }
                if path == "/identity" || NOT_KEPT.iter().any(|end| path.ends_with(end)) {
                    continue;
                }
                match shown.get(key) {
                    Some(shown) => compare(&path, written, shown, missing),
                    None => missing.push(path),
                }
            }
        }
        (Value::Array(written), Value::Array(shown)) if written.len() == shown.len() => {
            for (index, (written, shown)) in written.iter().zip(shown).enumerate() {
                compare(&format!("{path}/{index}"), written, shown, missing);
            }
        }
        (written, shown) if meaning(written) == meaning(shown) => {}
        (written, shown) => missing.push(format!("{path}: {written} is shown as {shown}")),
    }
}

/// The same for all ways to write it.
fn meaning(value: &Value) -> String {
    let value = match value {
        Value::Object(object) if object.len() == 1 => object.get("address").unwrap_or(value),
        other => other,
    };
    let Some(text) = value.as_str() else {
        return match value.as_f64() {
            Some(number) => format!("{number}"),
            None => value.to_string(),
        };
    };
    if let Ok(duration) = humantime::parse_duration(text) {
        return format!("{duration:?}");
    }
    match text.parse::<examples::config::Size>() {
        Ok(size) if text.parse::<SocketAddr>().is_err() => size.count().to_string(),
        _ => text.to_owned(),
    }
}

/// A key for each certificate.
fn add_keys(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.contains_key("certificate") {
                object.insert("private_key".to_owned(), "a.key".into());
            }
            object.values_mut().for_each(add_keys);
        }
        Value::Array(values) => values.iter_mut().for_each(add_keys),
        _ => {}
    }
}

/// Secret, or the only value that there is.
const NOT_KEPT: [&str; 2] = ["/private_key", "/listener/0/protocol"];

/// In the place of what may be a secret.
const HIDDEN: &str = "(not shown)";

const EVERY_KEY: &str = include_str!("../../proxy.toml");

const CLUSTER: &str = "endpoints = [\"127.0.0.1:9\"]";

//! Headers that are not taken, and those that never end.

use std::time::Duration;

use http::Response;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, timeout},
};

use super::wire::{Log, ONE_REQUEST, TRUST, refused, v1, v2, v2_tcp4};
use crate::{
    admin::metrics,
    front::{Front, bounded, noting},
    raw::{exchange, until_closed},
    support::{self, body::empty, process::ProxyProcess},
};

#[tokio::test]
async fn a_malformed_header_closes_the_connection_and_is_counted_and_logged() {
    let log = Log::default();
    let _logging = log.listen();
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http1", upstream.address, TRUST);
    let too_long = [b"PROXY UNKNOWN ", &[b'x'; 200][..], b"\r\n"].concat();
    let bad = [
        (v1("TCP4 192.0.2.1 127.0.0.1 1 65536"), "65535"),
        (v1("TCP9 192.0.2.1 127.0.0.1 1 2"), "TCP4"),
        (too_long, "107"),
        (v2(0x21, 0x11, &[1; 11]), "too short"),
        (v2(0x31, 0x11, &[1; 12]), "version"),
        (v2(0x20, 0x00, &[0; 521]), "536"),
    ];
    for (count, (header, reason)) in (1..).zip(bad) {
        let bytes = [&header[..], ONE_REQUEST].concat();
        assert_eq!(exchange(front.web(), &bytes).await, "", "{header:?}");
        assert_eq!(refused(&front).await, f64::from(count), "{header:?}");
        let line = log.last("PROXY protocol refused");
        assert!(line.contains("WARN") && line.contains(reason), "{line}");
        assert!(line.contains("listener=web peer=127.0.0.1:"), "{line}");
    }
    assert!(heads.try_recv().is_err());
}

#[tokio::test]
async fn a_header_must_be_complete_in_time() {
    let (upstream, _heads) = noting(|| Response::new(empty())).await;
    let more = format!("{TRUST}[limits]\nheader_timeout = \"300ms\"");
    let front = Front::start("http1", upstream.address, &more);
    for (count, part) in (1..).zip([
        &b"\r\n\r\n\0"[..],
        b"PROXY TCP4 192.0.2.1 ",
        &v2_tcp4(b"")[..20],
    ]) {
        let began = Instant::now();
        assert_eq!(exchange(front.web(), part).await, "");
        let waited = Instant::now().saturating_duration_since(began);
        assert!(waited >= Duration::from_millis(290));
        assert_eq!(refused(&front).await, f64::from(count));
    }
    // Who says nothing has begun no header.
    assert_eq!(exchange(front.web(), b"").await, "");
    assert_eq!(refused(&front).await, 3.0);
    assert_eq!(open(&front).await, 0.0);
}

#[tokio::test]
async fn a_connection_that_ends_within_its_header_is_over_at_once() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http1", upstream.address, TRUST);
    for (count, part) in (1..).zip([&b"PROXY TCP4 192.0.2.1 "[..], &v2_tcp4(b"")[..20]]) {
        let mut stream = TcpStream::connect(front.web()).await.unwrap();
        stream.write_all(part).await.unwrap();
        stream.shutdown().await.unwrap();
        let ended = timeout(Duration::from_secs(5), until_closed(&mut stream)).await;
        assert_eq!(ended.unwrap(), "");
        assert_eq!(refused(&front).await, f64::from(count));
    }
    // What may be a request yet is the server's to judge, even when no more comes.
    for part in [&b"P"[..], b""] {
        let mut stream = TcpStream::connect(front.web()).await.unwrap();
        stream.write_all(part).await.unwrap();
        stream.shutdown().await.unwrap();
        let ended = timeout(Duration::from_secs(5), until_closed(&mut stream)).await;
        ended.unwrap();
    }
    assert_eq!(refused(&front).await, 2.0);
    assert!(heads.try_recv().is_err());
}

#[tokio::test]
async fn a_silent_trusted_connection_does_not_hold_a_drain() {
    let (upstream, _heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http1", upstream.address, TRUST);
    let _silent = TcpStream::connect(front.web()).await.unwrap();
    let mut half = TcpStream::connect(front.web()).await.unwrap();
    half.write_all(b"PROXY ").await.unwrap();
    let accepted = async {
        while open(&front).await < 2.0 {
            tokio::task::yield_now().await;
        }
    };
    bounded(accepted).await;
    let Front { proxy, .. } = front;
    assert!(proxy.drain().await, "within the grace of five seconds");
}

#[tokio::test]
async fn waiting_for_the_rest_of_a_header_costs_nothing() {
    let (upstream, _heads) = noting(|| Response::new(empty())).await;
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("proxy.toml");
    let cluster = format!("endpoints = [\"{}\"]\n{TRUST}", upstream.address);
    std::fs::write(&config, support::cleartext(&cluster)).unwrap();
    let proxy = ProxyProcess::start(&config, &["web"]).await;
    let mut waiting = Vec::new();
    for part in [&b"PROXY "[..], b"\r\n\r\n", b"P", b"PROXY TCP4 192.0.2.1 "] {
        let mut stream = TcpStream::connect(proxy.address("web")).await.unwrap();
        stream.write_all(part).await.unwrap();
        waiting.push(stream);
    }
    let id = proxy.child.id().unwrap();
    let before = ticks(id);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let spent = ticks(id) - before;
    assert!(spent < 15, "{spent} hundredths of a second");
}

async fn open(front: &Front) -> f64 {
    metrics(front).await[r#"proxy_connections_open{listener="web"}"#]
}

/// What a process has spent, in hundredths of a second.
fn ticks(id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<_> = fields.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

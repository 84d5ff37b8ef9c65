//! What the log tells: refusals at WARN with reason and peer, other failures at DEBUG.

#![cfg(any(feature = "aws-lc-rs", feature = "ring"))]
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use support::{API_ID, WEB_ID, accept, acceptor, api, handshake, layer, trust, web};
use tokio::io::duplex;
use tower_mtls::{Expected, MtlsLayer};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

#[tokio::test]
async fn a_refused_server_is_a_warning_with_its_identity() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let layer = layer(
        trust(),
        web(),
        Expected::Spiffe(vec![WEB_ID.parse().unwrap()]),
    );
    let outcome = handshake(&layer, &acceptor(api(), trust())).await;
    assert!(outcome.client.is_err());

    let line = log.only(Level::WARN);
    for part in [
        "side=\"client\"",
        "reason=\"wrong_identity\"",
        &format!(" claimed_peer={API_ID}"),
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    // The server, whose certificate was refused, has nothing to warn of.
    assert!(
        log.lines(Level::DEBUG)
            .iter()
            .any(|line| line.contains("rejected_by_peer"))
    );
}

#[tokio::test]
async fn a_refused_client_is_a_warning() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let anonymous = MtlsLayer::builder(trust())
        .expect(Expected::TrustDomain)
        .build()
        .unwrap();
    let outcome = handshake(&anonymous, &acceptor(api(), trust())).await;
    assert!(outcome.server.is_err());
    let line = log.only(Level::WARN);
    assert!(
        line.contains("side=\"server\" reason=\"no_certificate\""),
        "{line}"
    );
}

#[tokio::test]
async fn other_outcomes_are_debug() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let acceptor = acceptor(api(), trust());
    let (near, far) = duplex(1024);
    drop(near);
    assert!(accept(&acceptor, far).await.is_err());
    assert!(log.lines(Level::DEBUG)[0].contains("reason=\"io\""));

    handshake(&layer(trust(), web(), Expected::TrustDomain), &acceptor)
        .await
        .both();
    assert!(
        log.lines(Level::DEBUG)
            .iter()
            .any(|line| line.contains(&format!(" peer={WEB_ID}")))
    );
    for level in [Level::ERROR, Level::WARN, Level::INFO] {
        assert!(log.lines(level).is_empty());
    }
}

#[cfg(feature = "dev")]
#[tokio::test]
async fn a_certificate_that_was_not_renewed_is_one_warning_and_then_one_error() {
    use std::time::{Duration, SystemTime};
    use tower_mtls::dev::Authority;

    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let authority = Authority::new("example.org".parse().unwrap()).unwrap();
    let (now, second) = (SystemTime::now(), Duration::from_secs(1));
    // Credentials that never change are watched from the first handshake on.
    let issued = authority.valid(now - 9 * second, now + 3 * second);
    let acceptor = acceptor(issued.svid("/api").unwrap().credentials(), trust());
    for _ in 0..3 {
        let (near, far) = duplex(1024);
        drop(near);
        assert!(accept(&acceptor, far).await.is_err());
    }
    tokio::task::yield_now().await;
    assert!(log.only(Level::WARN).contains("a third of its life left"));
    assert!(log.lines(Level::ERROR).is_empty());
    while log.lines(Level::ERROR).is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(SystemTime::now() < now + 20 * second);
    }
    assert!(SystemTime::now() >= now + 2 * second);
    assert!(log.only(Level::ERROR).contains("has expired"));
    assert_eq!(log.lines(Level::WARN).len(), 1);
}

#[cfg(all(feature = "dev", feature = "files"))]
#[tokio::test]
async fn a_bad_file_is_one_warning_and_its_repair_one_line() {
    use support::folder::{FAST, Folder, KEY, until};

    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let folder = Folder::new();
    let files = folder.files().interval(FAST).build().unwrap();
    let source = files.load().await.unwrap();
    let key = folder.path.join(KEY);
    let good = std::fs::read_to_string(&key).unwrap();
    std::fs::write(&key, good.replace("-----END", "!")).unwrap();
    until(|| source.failure().is_some()).await;
    tokio::time::sleep(4 * FAST).await;
    let line = log.only(Level::WARN);
    assert!(line.contains("reason=\"malformed\""), "{line}");
    assert!(line.contains(KEY), "{line}");

    std::fs::write(&key, &good).unwrap();
    until(|| source.failure().is_none()).await;
    tokio::time::sleep(2 * FAST).await;
    let recovered = log.lines(Level::INFO);
    let recovered = recovered.iter().filter(|line| line.contains("works again"));
    assert_eq!(recovered.count(), 1);
    let all = log
        .0
        .lock()
        .unwrap()
        .iter()
        .map(|(_, line)| line.clone())
        .collect::<String>();
    let body = good
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect::<String>();
    for start in 0..body.len() - 8 {
        assert!(!all.contains(&body[start..start + 8]), "{all}");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

impl Log {
    fn lines(&self, level: Level) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        let of_level = lines.iter().filter(|(of, _)| *of == level);
        of_level.map(|(_, line)| line.clone()).collect()
    }

    fn only(&self, level: Level) -> String {
        let lines = self.lines(level);
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines[0].clone()
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tower_mtls")
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0
            .lock()
            .unwrap()
            .push((*event.metadata().level(), line.0));
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}

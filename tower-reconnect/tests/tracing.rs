//! What an operator reads: a connection at INFO, what went wrong at WARN, and no request.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    fmt::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use tower::ServiceExt;
use tower_reconnect::ReconnectLayer;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use support::{Dial, Peer, pass};

#[tokio::test(start_paused = true)]
async fn transitions_are_traced_at_their_levels_and_requests_are_not() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let peer = Peer::new(&[Dial::Refuse, Dial::Accept]);
    let service = peer.connect(ReconnectLayer::builder("peer").name("the peer"));
    service.clone().oneshot(1).await.unwrap();
    peer.link().kill();
    service.clone().oneshot(2).await.unwrap();
    pass(Duration::from_secs(6)).await;
    peer.link().kill();
    service.clone().oneshot(3).await.unwrap();
    for request in 0..100 {
        service.clone().oneshot(request).await.unwrap();
    }
    drop(service);

    let lines = log.0.lock().unwrap().clone();
    let seen: Vec<_> = lines
        .iter()
        .map(|(level, message, _)| (*level, &**message))
        .collect();
    assert_eq!(
        seen,
        [
            (Level::DEBUG, "dialling"),
            (Level::WARN, "dial failed"),
            (Level::DEBUG, "dialling"),
            (Level::INFO, "connected"),
            (Level::WARN, "connection lost before it was stable"),
            (Level::DEBUG, "dialling"),
            (Level::INFO, "connected"),
            (Level::DEBUG, "connection lost"),
            (Level::DEBUG, "dialling"),
            (Level::DEBUG, "connected again"),
            (Level::DEBUG, "closed"),
        ]
    );
    assert!(
        lines
            .iter()
            .all(|(_, _, fields)| fields.contains("name=\"the peer\""))
    );
    let (_, _, failed) = &lines[1];
    assert!(
        failed.contains("error=refused") && failed.contains("delay="),
        "{failed}"
    );
    assert!(failed.contains("failures=1"), "{failed}");
    let (_, _, lost) = &lines[4];
    assert!(
        lost.contains("error=connection reset") && lost.contains("delay="),
        "{lost}"
    );
}

/// Level, message and the other fields of each event.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String, String)>>>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tower_reconnect")
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = (*event.metadata().level(), fields.message, fields.others);
        self.0.lock().unwrap().push(line);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Fields {
    message: String,
    others: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let name = field.name();
        if name == "message" {
            self.message = format!("{value:?}");
        } else {
            let _ = write!(self.others, "{name}={value:?} ");
        }
    }
}

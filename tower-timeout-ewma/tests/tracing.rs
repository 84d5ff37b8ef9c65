//! Changes of mode are logged, requests are not, above TRACE.

use std::sync::{Arc, Mutex};

use tower::{Layer, Service, ServiceExt};
use tower_timeout_ewma::{AdaptiveTimeout, AdaptiveTimeoutLayer};
use tracing::{
    Event, Level, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

mod support;
use support::{Probe, Reply, ms};

/// The levels of this crate's events.
#[derive(Clone, Default)]
struct Levels(Arc<Mutex<Vec<Level>>>);

impl Levels {
    fn above_trace(&self) -> Vec<Level> {
        let mut levels = self.0.lock().expect("no test panics with it").clone();
        levels.retain(|level| *level < Level::TRACE);
        levels
    }
}

impl Subscriber for Levels {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tower_timeout_ewma")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let level = *event.metadata().level();
        self.0.lock().expect("no test panics with it").push(level);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_change_of_mode_is_logged_once() {
    let levels = Levels::default();
    let _guard = tracing::subscriber::set_default(levels.clone());
    let mut service = AdaptiveTimeoutLayer::new().layer(Probe::default());

    for _ in 0..20 {
        send(&mut service, Reply::After(ms(20))).await;
    }
    for _ in 0..4 {
        send(&mut service, Reply::Never).await;
    }
    assert!(levels.above_trace().is_empty());

    for _ in 0..10 {
        send(&mut service, Reply::Never).await;
    }
    assert_eq!(levels.above_trace(), [Level::DEBUG]);

    for _ in 0..100 {
        send(&mut service, Reply::After(ms(20))).await;
    }
    assert_eq!(levels.above_trace(), [Level::DEBUG, Level::DEBUG]);
}

#[tokio::test(start_paused = true)]
async fn a_fixed_limit_has_no_modes_to_log() {
    let levels = Levels::default();
    let _guard = tracing::subscriber::set_default(levels.clone());
    let mut service = AdaptiveTimeoutLayer::fixed(ms(30)).layer(Probe::default());

    for reply in [Reply::Never, Reply::After(ms(20))] {
        for _ in 0..100 {
            send(&mut service, reply).await;
        }
    }
    assert!(levels.above_trace().is_empty());
}

async fn send(service: &mut AdaptiveTimeout<Probe>, reply: Reply) {
    let service = service.ready().await.expect("a probe is always ready");
    let _ = service.call(reply).await;
}

//! What an operator reads: what went wrong at WARN, that it is over at INFO, and no request.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{
    fmt::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::stream;
use support::{
    Probe, Readiness, Refused, balance, settle,
    traffic::{BADLY, BASE, WELL, answering_well, at_once, seeded},
};
use tokio::time::sleep;
use tower::ServiceExt as _;
use tower_balance_p2c::{BalanceLayer, Ejection};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

#[tokio::test(start_paused = true)]
async fn changes_are_traced_at_their_levels_and_requests_are_not() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let probes = answering_well::<2>();
    let ejection = Ejection::new().requests_per_probe(u32::MAX);
    let (balance, discovery) = balance(seeded(1, ejection), &probes.each_ref()).await;
    assert_eq!(log.above_trace(), [(Level::DEBUG, "endpoint inserted"); 2]);
    for _ in 0..20 {
        at_once(&balance, 40).await;
    }
    assert!(log.take().is_empty());

    probes[0].control.answer(BADLY);
    for _ in 0..3 {
        at_once(&balance, 6).await;
    }
    let (level, message, fields) = log.take().remove(0);
    assert_eq!((level, message), (Level::WARN, "endpoint ejected".into()));
    for field in [
        "endpoint=1",
        "reason=3 requests in a row failed",
        "duration=",
    ] {
        assert!(fields.contains(field), "{field}: {fields}");
    }
    sleep(BASE).await;
    assert!(balance.clone().oneshot(()).await.is_err());
    probes[0].control.answer(WELL);
    sleep(2 * BASE).await;
    for _ in 0..20 {
        at_once(&balance, 60).await;
    }
    assert_eq!(
        log.above_trace(),
        [
            (Level::DEBUG, "ejected endpoint probed"),
            (Level::WARN, "endpoint ejected"),
            (Level::DEBUG, "ejected endpoint probed"),
            (Level::INFO, "ejected endpoint readmitted, on probation"),
            (Level::INFO, "endpoint recovered"),
        ]
    );

    discovery.send(Err(Refused(9))).unwrap();
    discovery.send(probes[1].remove()).unwrap();
    drop(discovery);
    settle().await;
    assert_eq!(
        log.above_trace(),
        [
            (Level::WARN, "discovery failed: the last endpoints stay"),
            (Level::DEBUG, "endpoint removed"),
            (Level::INFO, "discovery has ended: the last endpoints stay"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_down_is_traced_once_and_when_it_is_back() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let down = Probe::new(1, Readiness::Failed);
    let (balance, _discovery) = balance(seeded(2, Ejection::new()), &[&down]).await;
    sleep(Duration::from_millis(503)).await;
    down.control.set(Readiness::Ready);
    sleep(Duration::from_secs(3)).await;
    balance.clone().oneshot(()).await.unwrap();
    let mut seen = log.above_trace();
    seen.dedup();
    assert_eq!(
        seen,
        [
            (Level::DEBUG, "endpoint inserted"),
            (Level::WARN, "endpoint is down"),
            (Level::DEBUG, "endpoint is still down"),
            (Level::INFO, "endpoint is ready again"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn no_request_of_an_outage_is_traced() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let probes = answering_well::<4>();
    let (balance, _discovery) = balance(seeded(3, Ejection::new()), &probes.each_ref()).await;
    at_once(&balance, 40).await;
    for probe in &probes {
        probe.control.answer(BADLY);
    }
    for _ in 0..100 {
        at_once(&balance, 20).await;
    }
    let above = log.above_trace();
    assert!(
        above.len() < 200,
        "{} of 2000 requests: {:?}",
        above.len(),
        above.last()
    );
}

#[tokio::test(start_paused = true)]
async fn no_request_that_meets_an_endpoint_that_is_down_is_traced_without_a_driver() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let down = Probe::new(1, Readiness::Failed);
    let layer = BalanceLayer::builder()
        .wait(Duration::from_millis(7))
        .build();
    let (balance, driver) = layer.unwrap().pair(stream::iter([down.insert()]));
    let driver = tokio::spawn(driver);
    settle().await;
    driver.abort();
    settle().await;
    log.take();
    for _ in 0..10 {
        balance.clone().oneshot(()).await.unwrap_err();
    }
    assert_eq!(log.above_trace(), []);
}

/// Level, message and the other fields of each event.
type Line = (Level, String, String);

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Line>>>);

impl Log {
    /// Those above TRACE.
    fn take(&self) -> Vec<Line> {
        let mut lines = std::mem::take(&mut *self.0.lock().unwrap());
        lines.retain(|(level, ..)| *level < Level::TRACE);
        lines
    }

    fn above_trace(&self) -> Vec<(Level, &'static str)> {
        let lines = self.take().into_iter();
        lines
            .map(|(level, message, _)| (level, &*message.leak()))
            .collect()
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tower_balance_p2c")
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

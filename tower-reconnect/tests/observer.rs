//! What happens is told, in its order, and whoever is told cannot break it.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tower::ServiceExt;
use tower_reconnect::{Event, ReconnectLayer, State};
use tower_service::Service;

use support::{Dial, Failure, Peer, TICK, pass, settle};

#[tokio::test(start_paused = true)]
async fn a_life_is_told_in_its_order() {
    let log = Log::default();
    let script = [Dial::RefuseAfter(TICK * 3), Dial::AcceptAfter(TICK * 5)];
    let peer = Peer::new(&script);
    let builder = ReconnectLayer::builder("peer").observer(log.observer());
    let builder = builder.retired_when(<dyn std::error::Error>::is::<Failure>);
    let builder = builder.worked_after(1).max_age(Duration::from_secs(60));
    let mut service = peer.connect(builder);
    service.ready().await.unwrap();
    service.call(1).await.unwrap();
    pass(Duration::from_secs(60)).await;
    service.ready().await.unwrap();
    peer.link().kill();
    service.ready().await.unwrap().call(2).await.unwrap();
    settle().await;
    peer.link().kill();
    service.ready().await.unwrap();
    peer.link().kill();
    service.ready().await.unwrap();
    drop(service);
    assert_eq!(
        log.take(),
        [
            "dial started",
            "failed: refused, 1 in a row",
            "dial started",
            "1 connected after 1 failures",
            "dial started",
            "2 connected after 0 failures",
            "1 replaced",
            "2 retired: connection reset, unstable false",
            "dial started",
            "3 connected after 0 failures",
            "3 retired: connection reset, unstable false",
            "dial started",
            "4 connected after 0 failures",
            "4 retired: connection reset, unstable true",
            "dial started",
            "5 connected after 1 failures",
            "closed",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_young_loss_is_told_with_its_backoff_and_an_unused_end_too() {
    let log = Log::default();
    let peer = Peer::new(&[Dial::Accept]);
    let builder = ReconnectLayer::builder("peer").observer(log.observer());
    let service = peer.connect(builder.idle(Duration::from_secs(1)));
    service.clone().oneshot(1).await.unwrap();
    peer.link().kill();
    service.clone().oneshot(2).await.unwrap();
    pass(Duration::from_secs(2)).await;
    assert_eq!(
        log.take(),
        [
            "dial started",
            "1 connected after 0 failures",
            "1 lost: connection reset, unstable true",
            "dial started",
            "2 connected after 1 failures",
            "2 unused",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn it_may_use_the_watch_and_the_handles_because_no_lock_is_held() {
    let peer = Peer::new(&[Dial::Refuse, Dial::Accept]);
    let slot: Arc<Mutex<Option<tower_reconnect::Reconnect<support::Connection>>>> = Arc::default();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let (slot, seen) = (slot.clone(), seen.clone());
        move |_: &Event<'_>| {
            let service = slot.lock().unwrap().clone();
            let Some(service) = service else { return };
            service.reset_backoff();
            seen.lock().unwrap().push(service.watch().stats());
        }
    };
    let service = peer.connect(ReconnectLayer::builder("peer").observer(observer));
    *slot.lock().unwrap() = Some(service.clone());
    service.clone().oneshot(1).await.unwrap();
    assert!(seen.lock().unwrap().len() >= 3);
    slot.lock().unwrap().take();
}

#[tokio::test(start_paused = true)]
async fn its_panic_breaks_nothing() {
    let peer = Peer::new(&[Dial::Refuse, Dial::Accept]);
    let observer = |_: &Event<'_>| panic!("in the observer");
    let mut service = peer.connect(ReconnectLayer::builder("peer").observer(observer));
    assert_eq!(
        service.ready().await.unwrap().call(1).await.unwrap(),
        (1, 1)
    );
    peer.link().kill();
    assert_eq!(
        service.ready().await.unwrap().call(2).await.unwrap(),
        (2, 2)
    );
    let watch = service.watch();
    drop(service);
    assert!(matches!(watch.state(), State::Closed));
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn observer(&self) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
        let log = self.0.clone();
        move |event| log.lock().unwrap().push(line(event))
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn line(event: &Event<'_>) -> String {
    match *event {
        Event::DialStarted => "dial started".into(),
        Event::Connected {
            connection,
            took,
            failures,
            ..
        } => {
            assert!(took < Duration::from_secs(1), "{took:?}");
            format!("{connection} connected after {failures} failures")
        }
        Event::DialFailed {
            cause,
            took,
            failures,
            retry_in,
            ..
        } => {
            assert!((TICK * 3..TICK * 5).contains(&took), "{took:?}");
            assert!((Duration::from_millis(1)..Duration::from_millis(125)).contains(&retry_in));
            format!("failed: {cause}, {failures} in a row")
        }
        Event::Lost {
            connection,
            cause,
            retry_in,
            ..
        } => format!(
            "{connection} lost: {cause}, unstable {}",
            retry_in.is_some()
        ),
        Event::Retired {
            connection,
            cause,
            retry_in,
            ..
        } => format!(
            "{connection} retired: {cause}, unstable {}",
            retry_in.is_some()
        ),
        Event::Replaced {
            connection, age, ..
        } => {
            assert!((48..55).contains(&age.as_secs()), "{age:?}");
            format!("{connection} replaced")
        }
        Event::Unused { connection, .. } => format!("{connection} unused"),
        Event::Closed => "closed".into(),
        _ => "unknown".into(),
    }
}

//! What is left running, and what is not.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::ServiceExt;
use tower_reconnect::{
    Reconnect, ReconnectLayer, State, Watch,
    error::{Closed, NoRuntime},
};
use tower_service::Service;
use tower_test::mock::Spawn;

use support::{Dial, Peer, pass, settle};

#[tokio::test(start_paused = true)]
async fn nothing_is_dialled_before_the_first_poll() {
    let peer = Peer::new(&[Dial::Accept]);
    let service = peer.connect_by_default();
    let _clone = service.clone();
    let _watch = service.watch();
    pass(Duration::from_secs(1)).await;
    assert_eq!(peer.dials(), 0);
    assert!(peer.maker_is_alive());
    drop((service, _clone));
    assert!(!peer.maker_is_alive());
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_takes_the_connection_and_the_task_with_it() {
    let peer = Peer::new(&[Dial::Accept]);
    let service = peer.connect_by_default();
    let other = service.clone();
    service.clone().oneshot(1).await.unwrap();
    drop(service);
    settle().await;
    assert_eq!(peer.link().alive(), 1, "a handle is left");
    drop(other);
    assert_eq!(peer.link().alive(), 0);
    settle().await;
    assert!(!peer.maker_is_alive());
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_ends_a_dial_that_is_under_way() {
    let peer = Peer::new(&[Dial::Hang]);
    let mut service = Spawn::new(peer.connect_by_default());
    assert_pending!(service.poll_ready());
    settle().await;
    assert_eq!(peer.dialling().0, 1);
    drop(service);
    settle().await;
    assert_eq!(peer.dialling().0, 0);
    assert!(!peer.maker_is_alive());
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_ends_a_backoff() {
    let peer = Peer::new(&[Dial::Refuse]);
    let mut service = Spawn::new(peer.connect_by_default());
    assert_pending!(service.poll_ready());
    settle().await;
    drop(service);
    settle().await;
    assert!(!peer.maker_is_alive());
    assert_eq!(peer.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_watch_keeps_nothing_alive() {
    let peer = Peer::new(&[Dial::Accept]);
    let service = peer.connect_by_default();
    let mut watch = service.watch();
    service.oneshot(1).await.unwrap();
    assert_eq!(peer.link().alive(), 0);
    settle().await;
    assert!(!peer.maker_is_alive());
    assert!(matches!(watch.state(), State::Closed));
    assert!(watch.changed().await, "what it has not seen yet");
    assert!(!watch.changed().await);
}

#[tokio::test(start_paused = true)]
async fn a_response_needs_no_handle() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = peer.connect_by_default();
    let response = service.ready().await.unwrap().call(3);
    drop(service);
    assert_eq!(response.await.unwrap(), (1, 3));
}

#[test]
fn without_a_runtime_the_response_says_so_and_a_later_poll_recovers() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = Spawn::new(peer.connect_by_default());
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    let error = assert_ready_err!(response.poll());
    assert!(error.is::<NoRuntime>());
    let runtime = runtime();
    let answer = runtime.block_on(service.into_inner().oneshot(2));
    assert_eq!(answer.unwrap(), (1, 2));
}

/// Nothing but a dial or a backoff is bound to the runtime that it began on.
#[test]
fn a_connection_outlives_its_runtime_and_is_made_again_on_another() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = peer.connect_by_default();
    let first = runtime();
    let answer = first.block_on(async { service.ready().await.unwrap().call(1).await });
    assert_eq!(answer.unwrap(), (1, 1));
    drop(first);
    assert!(service.watch().state().is_connected());
    peer.link().kill();
    let second = runtime();
    let answer = second.block_on(async { service.ready().await.unwrap().call(2).await });
    assert_eq!(answer.unwrap(), (2, 2));
}

#[test]
fn the_end_of_the_runtime_ends_the_wait_of_all() {
    let peer = Peer::new(&[Dial::Hang]);
    let runtime = runtime();
    let service = peer.connect(ReconnectLayer::builder("peer").name("the peer"));
    let mut waiting: Vec<_> = (0..4).map(|_| Spawn::new(service.clone())).collect();
    runtime.block_on(async {
        for waiter in &mut waiting {
            assert_pending!(waiter.poll_ready());
        }
        settle().await;
    });
    drop(runtime);
    assert!(!peer.maker_is_alive());
    for waiter in &mut waiting {
        assert!(waiter.is_woken());
        assert_is_closed(waiter);
    }
    assert!(matches!(service.watch().state(), State::Closed));
}

#[test]
fn a_runtime_that_is_shutting_down_does_not_wedge_the_first_poll() {
    let peer = Peer::new(&[Dial::Accept]);
    let runtime = runtime();
    let handle = runtime.handle().clone();
    drop(runtime);
    let _entered = handle.enter();
    assert_is_closed(&mut Spawn::new(peer.connect_by_default()));
}

#[test]
fn a_runtime_without_a_timer_is_an_error_and_no_panic_of_the_caller() {
    let peer = Peer::new(&[Dial::Accept]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let answer = runtime.block_on(peer.connect_by_default().oneshot(1));
    assert!(answer.unwrap_err().is::<Closed>());
}

#[test]
fn handles_and_watches_go_anywhere() {
    fn anywhere<T: Send + Sync + Unpin + 'static>() {}
    anywhere::<Reconnect<support::Connection>>();
    anywhere::<Watch>();
    anywhere::<State>();
    anywhere::<ReconnectLayer<&str>>();
    anywhere::<tower_reconnect::error::Unavailable>();
}

fn assert_is_closed(service: &mut Spawn<Reconnect<support::Connection>>) {
    for _ in 0..2 {
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(1));
        assert!(assert_ready_err!(response.poll()).is::<Closed>());
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().unwrap()
}

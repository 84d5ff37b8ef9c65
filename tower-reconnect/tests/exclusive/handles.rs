//! Whose a connection is.

use crate::support::{Dial, Peer, pass, settle};
use crate::{exclusive, peer_with, waiters};
use std::{cell::Cell, convert::Infallible, future::ready, time::Duration};
use tokio_test::assert_ready_ok;
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_reconnect::{Mode, ReconnectLayer};
use tower_service::Service;
use tower_test::mock::Spawn;

#[tokio::test(start_paused = true)]
async fn each_handle_has_its_own_and_keeps_it() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut handles = vec![exclusive(&peer)];
    handles.push(handles[0].clone());
    for request in 0..10 {
        for (index, handle) in handles.iter_mut().enumerate() {
            let response = handle.ready().await.unwrap().call(request).await;
            assert_eq!(response.unwrap(), (index + 1, request));
        }
    }
    assert_eq!(peer.dials(), 2);
    assert!(peer.links().iter().all(|link| link.clones() == 0));
    assert_eq!(handles[0].watch().stats().open, 2);
}

#[tokio::test]
async fn the_connection_needs_neither_clone_nor_sync_nor_unpin() {
    struct Counter(Cell<u64>, std::marker::PhantomPinned);
    impl Service<u64> for Counter {
        type Response = u64;
        type Error = Infallible;
        type Future = std::future::Ready<Result<u64, Infallible>>;
        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Infallible>> {
            Ok(()).into()
        }
        fn call(&mut self, request: u64) -> Self::Future {
            self.0.set(self.0.get() + request);
            ready(Ok(self.0.get()))
        }
    }
    let dial = service_fn(|()| {
        ready(Ok::<_, Infallible>(Counter(
            Cell::new(0),
            Default::default(),
        )))
    });
    let layer = ReconnectLayer::builder(()).build_exclusive().unwrap();
    let mut service = layer.layer(dial);
    assert_eq!(service.ready().await.unwrap().call(3).await.unwrap(), 3);
    assert_eq!(service.ready().await.unwrap().call(4).await.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_never_called_is_passed_on_and_one_that_was_is_not() {
    let peer = Peer::new(&[Dial::Accept]);
    let service = exclusive(&peer);
    let mut one = service.clone();
    one.ready().await.unwrap();
    drop(one);
    assert_eq!(peer.link().alive(), 1);
    assert_eq!(service.clone().oneshot(1).await.unwrap(), (1, 1));
    assert_eq!(peer.link().alive(), 0, "in the middle of something");
    assert_eq!(service.clone().oneshot(2).await.unwrap(), (2, 2));
    assert_eq!(service.watch().stats().open, 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_replaced_for_its_handle_alone() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut one = exclusive(&peer);
    let mut other = one.clone();
    one.ready().await.unwrap();
    other.ready().await.unwrap();
    pass(Duration::from_secs(6)).await;
    peer.links()[0].kill();
    assert_eq!(one.ready().await.unwrap().call(1).await.unwrap(), (3, 1));
    assert_eq!(other.ready().await.unwrap().call(1).await.unwrap(), (2, 1));
    let stats = one.watch().stats();
    assert_eq!((stats.lost, stats.unstable, stats.open), (1, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_after_the_last_handle() {
    let peer = Peer::new(&[Dial::Accept, Dial::Accept, Dial::Hang]);
    let service = peer_with(&peer, |builder| builder.mode(Mode::Balanced));
    let mut own = service.clone();
    own.ready().await.unwrap().call(1).await.unwrap();
    let mut spare = service.clone();
    spare.ready().await.unwrap();
    let hanging = waiters(&service, 3);
    settle().await;
    assert_eq!(peer.dialling().0, 3);
    drop((spare, hanging, own));
    settle().await;
    assert_eq!(peer.link().alive(), 1, "kept for the next");
    assert_eq!(peer.dialling().0, 3);
    drop(service);
    settle().await;
    assert_eq!(peer.dialling().0, 0);
    assert!(peer.links().iter().all(|link| link.alive() == 0));
    assert!(!peer.maker_is_alive());
}

#[tokio::test(start_paused = true)]
async fn eager_means_one_that_is_kept_for_the_first_handle() {
    let peer = Peer::new(&[Dial::Accept]);
    let service = peer_with(&peer, |builder| builder.eager(true));
    settle().await;
    assert_eq!(peer.dials(), 1);
    assert_eq!(service.watch().stats().open, 1);
    let mut first = Spawn::new(service);
    assert_ready_ok!(first.poll_ready());
    settle().await;
    assert_eq!(peer.dials(), 1);
}

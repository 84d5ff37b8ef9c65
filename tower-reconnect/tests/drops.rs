//! To drop what belongs to others may run their code: it may panic, or use the handle.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    error::Error,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio_test::assert_pending;
use tower::ServiceExt;
use tower_layer::Layer;
use tower_reconnect::{Builder, Reconnect, ReconnectLayer, State, error::ConnectTimeout};
use tower_service::Service;
use tower_test::mock::Spawn;

use support::{Connection, Dial, Failure, Peer, pass};

/// The dial timed out, and the maker's future panics when it is dropped.
#[tokio::test(start_paused = true)]
async fn a_dial_that_panics_at_its_end_is_a_failed_dial_and_no_more() {
    struct Bomb(bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(!self.0, "in drop");
        }
    }
    let peer = Peer::new(&[Dial::Accept]);
    let connection = Arc::new(Mutex::new(None));
    let dials = connection.clone();
    let maker = tower::service_fn(move |_: &'static str| {
        let connection = dials.lock().unwrap().clone();
        let bomb = Bomb(connection.is_none());
        async move {
            let _bomb = bomb;
            match connection {
                Some(connection) => Ok::<Connection, Failure>(connection),
                None => std::future::pending().await,
            }
        }
    });
    let service = builder().build().unwrap().layer(maker);
    let mut handle = Spawn::new(service.clone());
    assert_pending!(handle.poll_ready());
    pass(Duration::from_millis(1100)).await;
    assert!(service.watch().last_cause().unwrap().is::<ConnectTimeout>());
    let made = peer.maker().ready().await.unwrap().call("peer").await;
    *connection.lock().unwrap() = Some(made.unwrap());
    assert!(service.oneshot(1).await.is_ok());
}

/// The task closes connections that nobody uses, and has other work after that.
#[tokio::test(start_paused = true)]
async fn a_connection_that_panics_when_it_is_closed_ends_nothing_else() {
    #[derive(Default)]
    struct Bomb(bool);
    impl Service<u64> for Bomb {
        type Response = (usize, u64);
        type Error = Failure;
        type Future = std::future::Ready<Result<(usize, u64), Failure>>;
        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Failure>> {
            Ok(()).into()
        }
        fn call(&mut self, request: u64) -> Self::Future {
            std::future::ready(Ok((1, request)))
        }
    }
    impl Clone for Bomb {
        fn clone(&self) -> Self {
            Self(false)
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(!self.0 || std::thread::panicking(), "in drop");
        }
    }
    let dial = || tower::service_fn(|_: &'static str| async { Ok::<_, Failure>(Bomb(true)) });
    for limit in [
        (|builder| builder.idle(Duration::from_secs(1))) as fn(Builder<_>) -> Builder<_>,
        |builder| builder.max_age(Duration::from_secs(1)),
    ] {
        let service = limit(builder()).build().unwrap().layer(dial());
        service.clone().oneshot(1).await.unwrap();
        pass(Duration::from_secs(3)).await;
        assert!(!matches!(service.watch().state(), State::Closed));
        service.clone().oneshot(2).await.unwrap();
    }
    let idle = builder().idle(Duration::from_secs(1));
    let service = idle.build_exclusive().unwrap().layer(dial());
    service.clone().ready().await.unwrap();
    pass(Duration::from_secs(3)).await;
    assert!(matches!(service.watch().state(), State::Idle));
}

/// To drop a cause may run somebody's code, and that may use the handle.
#[tokio::test(start_paused = true)]
async fn a_cause_is_not_dropped_under_a_lock() {
    #[derive(Debug)]
    struct Nosy(Arc<Mutex<Option<Reconnect<Connection>>>>);
    impl std::fmt::Display for Nosy {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("nosy")
        }
    }
    impl Error for Nosy {}
    impl Drop for Nosy {
        fn drop(&mut self) {
            let handle = self.0.lock().unwrap();
            let _ = handle.as_ref().map(|handle| format!("{handle:?}"));
        }
    }
    let place = Arc::new(Mutex::new(None));
    let cause = place.clone();
    let maker = tower::service_fn(move |_: &'static str| {
        std::future::ready(Err::<Connection, _>(Nosy(cause.clone())))
    });
    let service = builder().build().unwrap().layer(maker);
    *place.lock().unwrap() = Some(service.clone());
    let mut handle = Spawn::new(service);
    assert_pending!(handle.poll_ready());
    pass(Duration::from_secs(1)).await;
    assert!(handle.get_ref().watch().stats().failures > 3);
    *place.lock().unwrap() = None;
}

fn builder() -> Builder<&'static str> {
    ReconnectLayer::builder("peer")
}

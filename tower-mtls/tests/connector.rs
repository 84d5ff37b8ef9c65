//! The layer keeps tower's contract with the connector inside.

#![cfg(any(feature = "aws-lc-rs", feature = "ring"))]

mod support;

use std::{
    cell::Cell,
    io,
    rc::Rc,
    task::{Context, Poll},
};

use support::{layer, trust, web};
use tokio::io::{DuplexStream, duplex};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task::spawn};
use tower::{Layer, Service};
use tower_mtls::{Expected, Mtls, MtlsLayer, error::HandshakeError};
use tower_test::mock;

#[tokio::test]
async fn it_is_ready_when_the_connector_is() {
    let (mut service, mut handle) =
        mock::spawn_with(|connector: mock::Mock<(), DuplexStream>| mtls().layer(connector));
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    assert_ready_ok!(service.poll_ready(), "ready is sticky");
}

#[tokio::test]
async fn an_error_of_the_connector_passes_through_unchanged() {
    let (mut service, mut handle) =
        mock::spawn_with(|connector: mock::Mock<(), DuplexStream>| mtls().layer(connector));
    assert_ready_ok!(service.poll_ready());
    let mut connecting = spawn(service.call(()));
    assert_pending!(connecting.poll());
    let (_, answer) = handle.next_request().await.unwrap();
    answer.send_error(io::Error::from(io::ErrorKind::ConnectionRefused));
    assert!(connecting.is_woken());
    let error = assert_ready_err!(connecting.poll());
    let error = error.downcast::<io::Error>().expect("the connector's own");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);

    handle.send_error("closed for ever");
    let error = assert_ready_err!(service.poll_ready());
    assert!(!error.is::<HandshakeError>());
}

#[tokio::test]
async fn a_failed_connect_is_no_handshake() {
    let layer = mtls();
    let (mut service, mut handle) =
        mock::spawn_with(|connector: mock::Mock<(), DuplexStream>| layer.layer(connector));
    assert_ready_ok!(service.poll_ready());
    let mut connecting = spawn(service.call(()));
    let (_, answer) = handle.next_request().await.unwrap();
    answer.send_error("refused");
    assert_ready_err!(connecting.poll());
    let stats = layer.stats();
    assert_eq!(
        (stats.failed_total(), stats.cancelled(), stats.in_progress()),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn the_instance_that_was_polled_ready_is_called() {
    let probe = Probe::default();
    let clones = probe.clones.clone();
    let mut service: Mtls<Probe> = mtls().layer(probe);
    let mut task = spawn(());
    for _ in 0..3 {
        let ready = task.enter(|cx, _| service.poll_ready(cx));
        assert_ready!(ready).unwrap();
        let (_near, far) = duplex(1024);
        // The probe panics if it was not polled ready.
        drop(service.call(far));
    }
    assert_eq!(clones.get(), 0, "it has no need of clones");
    let mut clone = service.clone();
    assert_eq!(clones.get(), 1);
    assert_ready!(task.enter(|cx, _| clone.poll_ready(cx))).unwrap();
    drop(clone.call(duplex(1).1));
}

/// A connector that is strict about readiness, which a clone does not inherit.
#[derive(Default)]
struct Probe {
    ready: bool,
    clones: Rc<Cell<usize>>,
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        self.clones.set(self.clones.get() + 1);
        Self {
            ready: false,
            clones: self.clones.clone(),
        }
    }
}

impl Service<DuplexStream> for Probe {
    type Response = DuplexStream;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<DuplexStream>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, io: DuplexStream) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without being ready"
        );
        std::future::ready(Ok(io))
    }
}

fn mtls() -> MtlsLayer {
    layer(trust(), web(), Expected::TrustDomain)
}

//! Nothing waits for ever, and whatever ends a handshake frees its slot.

#![cfg(any(feature = "aws-lc-rs", feature = "ring"))]
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use support::{
    accept, api, connect, handshake, handshake_error, layer, succeeds, task::stalled, trust, web,
};
use tokio::{
    io::{AsyncReadExt, DuplexStream, duplex},
    time::advance,
};
use tokio_test::{assert_pending, assert_ready, task::spawn};
use tower::{Layer, Service};
use tower_mtls::{Expected, MtlsLayer, accept::Acceptor, error::Reason};

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_is_dropped_after_the_timeout_and_frees_its_slot() {
    let mut acceptor = narrow(1);
    let (_silent, mut handshake) = stalled(&mut acceptor);
    assert_eq!(acceptor.stats().in_progress(), 1);

    advance(TIMEOUT - TICK).await;
    assert_pending!(handshake.poll());
    advance(2 * TICK).await;
    assert!(handshake.is_woken());
    let error = assert_ready!(handshake.poll()).expect_err("stopped");
    assert_eq!(error.reason(), Reason::Timeout);
    assert!(error.to_string().contains("5.000501s"), "{error}");

    // The future is still here, and the slot is free all the same.
    assert_eq!(acceptor.stats().in_progress(), 0);
    assert_eq!(acceptor.stats().failed(Reason::Timeout), 1);
    succeeds(&acceptor).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up_after_the_timeout() {
    let layer = MtlsLayer::builder(trust())
        .expect(Expected::TrustDomain)
        .handshake_timeout(TIMEOUT)
        .build()
        .unwrap();
    let (_silent, far) = duplex(4096);
    let mut handshake = spawn(connect(&layer, far));
    assert_pending!(handshake.poll());
    assert_eq!(layer.stats().in_progress(), 1);
    advance(TIMEOUT - TICK).await;
    assert_pending!(handshake.poll());
    advance(2 * TICK).await;
    assert!(handshake.is_woken());
    let error = assert_ready!(handshake.poll()).expect_err("silent");
    assert_eq!(handshake_error(&error).reason(), Reason::Timeout);
    assert_eq!(layer.stats().in_progress(), 0);
    assert_eq!(layer.stats().failed(Reason::Timeout), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_lets_its_connection_go_with_the_timeout() {
    let layer = MtlsLayer::builder(trust())
        .expect(Expected::TrustDomain)
        .handshake_timeout(TIMEOUT)
        .build()
        .unwrap();
    let (mut silent, far) = duplex(4096);
    let mut handshake = spawn(layer.layer(support::in_memory()).call(far));
    assert_pending!(handshake.poll());
    advance(TIMEOUT + TICK).await;
    assert!(assert_ready!(handshake.poll()).is_err());

    // The future is still here, and the peer sees the end all the same.
    let mut hello = Vec::new();
    let mut end = spawn(silent.read_to_end(&mut hello));
    assert!(assert_ready!(end.poll()).unwrap() > 0);
    assert!(format!("{handshake:?}").contains("done"), "{handshake:?}");
    assert_pending!(handshake.poll());
    assert_eq!(layer.stats().failed_total(), 1);
}

#[test]
fn a_handshake_may_be_called_for_outside_a_runtime() {
    let (near, far) = duplex(1 << 16);
    let layer = layer(trust(), web(), Expected::TrustDomain);
    let client = layer.layer(support::in_memory()).call(near);
    let server = narrow(1).call(far);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let (client, server) = runtime.block_on(async { tokio::join!(client, server) });
    assert!(client.is_ok() && server.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_a_server_starts_with_the_call_and_not_with_the_first_poll() {
    let mut acceptor = narrow(1);
    let (_silent, far) = duplex(1024);
    let mut handshake = spawn(acceptor.call(far));
    advance(TIMEOUT + TICK).await;
    let error = assert_ready!(handshake.poll()).expect_err("late");
    assert_eq!(error.reason(), Reason::Timeout);
}

#[test]
fn every_reason_has_a_count() {
    // A slice: one more reason is not another type.
    let all: &'static [Reason] = Reason::ALL;
    let stats = narrow(1).stats();
    for (index, reason) in all.iter().enumerate() {
        assert_eq!((*reason as usize, stats.failed(*reason)), (index, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_a_client_starts_when_the_connection_is_open() {
    use tower::{ServiceExt, service_fn};

    let layer = MtlsLayer::builder(trust())
        .credentials(web())
        .expect(Expected::TrustDomain)
        .handshake_timeout(TIMEOUT)
        .build()
        .unwrap();
    let slow = service_fn(|io: DuplexStream| async {
        tokio::time::sleep(3 * TIMEOUT).await;
        Ok::<_, std::io::Error>(io)
    });
    let (near, far) = duplex(1 << 16);
    let acceptor = Acceptor::builder(api())
        .require_client(trust())
        .handshake_timeout(4 * TIMEOUT)
        .build()
        .unwrap();
    let (client, server) = tokio::join!(layer.layer(slow).oneshot(near), accept(&acceptor, far));
    assert!(client.is_ok() && server.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_slot_is_bounded_by_the_same_timeout() {
    let mut acceptor = narrow(1);
    let (_first, _held) = stalled(&mut acceptor);
    advance(3 * TICK).await;
    let (_second, mut waiting) = stalled(&mut acceptor);

    advance(TIMEOUT - TICK).await;
    assert_pending!(waiting.poll());
    // The first has timed out by now, but nobody polls it: it keeps its slot.
    advance(2 * TICK).await;
    assert!(waiting.is_woken());
    let error = assert_ready!(waiting.poll()).expect_err("no slot");
    assert_eq!(error.reason(), Reason::Timeout);
    assert!(error.to_string().contains("max_handshakes"), "{error}");
    assert_eq!(acceptor.stats().waiting(), 0);
    assert_eq!(acceptor.stats().failed(Reason::Timeout), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_handshake_frees_its_slot_and_is_no_failure() {
    let mut acceptor = narrow(1);
    let (_first, held) = stalled(&mut acceptor);
    let (_second, waiting) = stalled(&mut acceptor);
    assert_eq!(acceptor.stats().waiting(), 1);
    drop(waiting);
    assert_eq!(acceptor.stats().waiting(), 0);
    assert_eq!(acceptor.stats().cancelled(), 1);
    drop(held);
    let stats = acceptor.stats();
    assert_eq!(
        (stats.in_progress(), stats.cancelled(), stats.failed_total()),
        (0, 2, 0)
    );
    succeeds(&acceptor).await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_client_handshake_is_no_failure() {
    let layer = layer(trust(), web(), Expected::TrustDomain);
    let (near, far) = duplex(4096);
    let mut handshake = spawn(connect(&layer, near));
    assert_pending!(handshake.poll());
    drop(handshake);
    let stats = layer.stats();
    assert_eq!(
        (stats.in_progress(), stats.cancelled(), stats.failed_total()),
        (0, 1, 0)
    );
    drop(far);
}

#[tokio::test(start_paused = true)]
async fn a_finished_handshake_frees_its_slot_while_its_connection_lives() {
    let acceptor = narrow(1);
    let layer = layer(trust(), web(), Expected::TrustDomain);
    let mut open = Vec::new();
    for done in 1..=3 {
        open.push(handshake(&layer, &acceptor).await.both());
        assert_eq!(
            (acceptor.stats().in_progress(), acceptor.stats().succeeded()),
            (0, done)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_frees_its_slot() {
    let acceptor = narrow(1);
    let anonymous = MtlsLayer::builder(trust())
        .expect(Expected::TrustDomain)
        .build()
        .unwrap();
    let outcome = handshake(&anonymous, &acceptor).await;
    assert_eq!(
        outcome.server.expect_err("refused").reason(),
        Reason::NoCertificate
    );
    succeeds(&acceptor).await;
}

#[tokio::test(start_paused = true)]
async fn an_acceptor_is_always_ready() {
    let mut acceptor = narrow(1);
    let _held = stalled(&mut acceptor);
    let mut task = spawn(());
    let ready = task.enter(|cx, _| Service::<DuplexStream>::poll_ready(&mut acceptor, cx));
    assert_ready!(ready).unwrap();
}

fn narrow(max_handshakes: usize) -> Acceptor {
    Acceptor::builder(api())
        .require_client(trust())
        .handshake_timeout(TIMEOUT)
        .max_handshakes(max_handshakes)
        .patience(Duration::from_secs(3600))
        .build()
        .unwrap()
}

const TIMEOUT: Duration = Duration::from_micros(5_000_501);
const TICK: Duration = Duration::from_micros(1_003);

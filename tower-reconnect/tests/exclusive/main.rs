//! Each handle has a connection of its own, and all share what they know of the other end.
#![allow(clippy::unwrap_used)]

mod age;
mod dials;
mod failing;
mod handles;
mod modes;
#[path = "../support/mod.rs"]
mod support;

use tokio_test::assert_pending;
use tower_layer::Layer;
use tower_reconnect::{Builder, ReconnectLayer, exclusive::Exclusive};
use tower_test::mock::Spawn;

use support::{Connection, Peer};

fn exclusive(peer: &Peer) -> Exclusive<Connection> {
    peer_with(peer, |builder| builder)
}

fn peer_with(
    peer: &Peer,
    settings: impl FnOnce(Builder<&'static str>) -> Builder<&'static str>,
) -> Exclusive<Connection> {
    let builder = settings(ReconnectLayer::builder("peer"));
    builder.build_exclusive().unwrap().layer(peer.maker())
}

/// Clones that wait, in this order.
fn waiters(service: &Exclusive<Connection>, count: usize) -> Vec<Spawn<Exclusive<Connection>>> {
    let mut waiting: Vec<_> = (0..count).map(|_| Spawn::new(service.clone())).collect();
    for waiter in &mut waiting {
        assert_pending!(waiter.poll_ready());
    }
    waiting
}

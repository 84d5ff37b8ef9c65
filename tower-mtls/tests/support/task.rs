//! Handshakes that are polled by hand.

use tokio::io::{AsyncRead, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio_test::{
    assert_pending, assert_ready_ok,
    task::{Spawn, spawn},
};
use tower::Service;
use tower_mtls::{Expected, accept::Acceptor, future::AcceptFuture};

use super::{connect, layer, trust, web};

pub type Handshake = Spawn<AcceptFuture<DuplexStream>>;

/// A client that says nothing, and its handshake.
pub fn silent(acceptor: &mut Acceptor) -> (DuplexStream, Handshake) {
    greeted(acceptor, &[])
}

/// A client that stops after its first message, and its handshake.
pub fn stalled(acceptor: &mut Acceptor) -> (DuplexStream, Handshake) {
    greeted(acceptor, &client_hello())
}

/// A client that stops after these bytes, and its handshake.
pub fn greeted(acceptor: &mut Acceptor, greeting: &[u8]) -> (DuplexStream, Handshake) {
    let (mut near, far) = duplex(1 << 16);
    assert_ready_ok!(spawn(near.write_all(greeting)).poll());
    let mut handshake = spawn(acceptor.call(far));
    assert_pending!(handshake.poll());
    (near, handshake)
}

/// A client's first message.
pub fn client_hello() -> Vec<u8> {
    let layer = layer(trust(), web(), Expected::TrustDomain);
    let (near, far) = duplex(1 << 16);
    let mut client = spawn(connect(&layer, near));
    assert_pending!(client.poll());
    let mut bytes = [0; 1 << 14];
    let mut far = spawn(far);
    let mut buffer = ReadBuf::new(&mut bytes);
    assert_ready_ok!(far.enter(|cx, far| far.poll_read(cx, &mut buffer)));
    buffer.filled().to_vec()
}

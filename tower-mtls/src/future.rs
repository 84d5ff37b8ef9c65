//! The futures of the services, by name.

mod accept;
mod connect;
mod linger;

use tracing::{debug, warn};

use crate::{MtlsStream, error::HandshakeError, stats::Attempt};

pub use self::{accept::AcceptFuture, connect::ConnectFuture};
pub use crate::authorize::ResponseFuture;

/// Ends an attempt in the counters and in the log.
fn conclude<IO>(
    side: &'static str,
    attempt: &mut Attempt,
    outcome: &Result<MtlsStream<IO>, HandshakeError>,
) {
    match outcome {
        Ok(stream) => {
            attempt.succeed();
            let peer = stream.peer().map(tracing::field::display);
            debug!(side, peer, "handshake done");
        }
        Err(error) => fail(side, attempt, error),
    }
}

fn fail(side: &'static str, attempt: &mut Attempt, error: &HandshakeError) {
    attempt.fail(error.reason());
    let reason = error.reason().as_str();
    let claimed_peer = error.claimed_peer().map(tracing::field::display);
    if error.reason().is_refusal() {
        warn!(side, reason, claimed_peer, %error, "peer refused");
    } else {
        debug!(side, reason, claimed_peer, %error, "handshake failed");
    }
}

//! Who was met behind an address.

use std::sync::{Arc, Mutex, PoisonError};

use http::Request;
use tower_mtls::PeerIdentity;

/// The verified peer of a connection, noted when it is known; clones share it.
///
/// In a request's extensions where somebody wants to know whom the request went to.
#[derive(Clone, Debug, Default)]
pub struct Met(Arc<Mutex<Option<PeerIdentity>>>);

impl Met {
    /// The last one; `None` before there was one, and behind cleartext.
    pub fn peer(&self) -> Option<PeerIdentity> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn note(&self, peer: Option<&PeerIdentity>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = peer.cloned();
    }
}

/// Notes who gets a request.
pub(super) fn note_met<B>(request: &Request<B>, peer: Option<&PeerIdentity>) {
    if let Some(met) = request.extensions().get::<Met>() {
        met.note(peer);
    }
}

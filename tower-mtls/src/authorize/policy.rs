use crate::PeerIdentity;

/// Decides which requests of verified peers are let through.
///
/// It is asked for every request, on the thread that serves it: it must not block.
pub trait Policy<Req> {
    /// Whether this request of this peer is let through.
    fn permits(&self, peer: &PeerIdentity, request: &Req) -> bool;
}

impl<Req, F: Fn(&PeerIdentity, &Req) -> bool> Policy<Req> for F {
    fn permits(&self, peer: &PeerIdentity, request: &Req) -> bool {
        self(peer, request)
    }
}

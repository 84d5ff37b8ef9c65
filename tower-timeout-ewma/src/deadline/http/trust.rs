use std::time::Duration;

/// What a peer's headers are worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Incoming {
    /// They count: a peer can shorten what the local limit allows.
    #[default]
    Trusted,
    /// They count, but what they ask for is cut to this.
    AtMost(Duration),
    /// They do not count, and do not go on.
    Ignored,
}

/// Tells what the headers of a request are worth, for example by the identity of the peer in its
/// extensions. Any `Fn(&Req) -> Incoming` does.
pub trait Trust<Req> {
    /// What the headers of this request are worth.
    fn trust(&self, request: &Req) -> Incoming;
}

impl<Req, F: Fn(&Req) -> Incoming> Trust<Req> for F {
    fn trust(&self, request: &Req) -> Incoming {
        self(request)
    }
}

/// Every peer is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EveryPeer;

impl<Req> Trust<Req> for EveryPeer {
    fn trust(&self, _: &Req) -> Incoming {
        Incoming::Trusted
    }
}

/// No peer is trusted: headers are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoPeer;

impl<Req> Trust<Req> for NoPeer {
    fn trust(&self, _: &Req) -> Incoming {
        Incoming::Ignored
    }
}

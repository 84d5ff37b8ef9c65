//! What is done to a request before it is sent again.

use crate::kind::Kind;

/// Changes a request that is about to be sent again: to send it elsewhere, or to tell the server
/// which attempt it sees.
///
/// Any `Fn(&mut Request, Next)` is one. The default of a layer is to change nothing.
pub trait Prepare<Request> {
    /// Called once for each attempt but the first, when it is certain to be sent.
    fn prepare(&self, request: &mut Request, next: Next);
}

impl<Request, F: Fn(&mut Request, Next)> Prepare<Request> for F {
    fn prepare(&self, request: &mut Request, next: Next) {
        self(request, next);
    }
}

/// Changes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unchanged;

impl<Request> Prepare<Request> for Unchanged {
    fn prepare(&self, _: &mut Request, _: Next) {}
}

/// Both, in this order.
impl<Request, A: Prepare<Request>, B: Prepare<Request>> Prepare<Request> for (A, B) {
    fn prepare(&self, request: &mut Request, next: Next) {
        self.0.prepare(request, next);
        self.1.prepare(request, next);
    }
}

/// The attempt that is about to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Next {
    /// Its number among the first attempt and the retries, from 1. A resend has the number of the
    /// attempt that was not processed.
    pub attempt: u32,
    /// What it is for.
    pub kind: Kind,
    /// Whether it is sent again because it was [not processed](crate::Verdict::Unprocessed).
    pub resend: bool,
}

impl Next {
    /// The attempt with this number, as a retry for a failure of this kind.
    pub const fn retry(attempt: u32, kind: Kind) -> Self {
        Self {
            attempt,
            kind,
            resend: false,
        }
    }

    /// The attempt with this number, sent again because it was not processed.
    pub const fn resend(attempt: u32) -> Self {
        Self {
            attempt,
            kind: Kind::Transient,
            resend: true,
        }
    }
}

//! A last touch to each attempt after the first: [`Builder::prepare`](crate::Builder::prepare).

use crate::{kind::Kind, replay::Replay};

/// Changes a request before it is sent again: tells the server which attempt it is, or the
/// balancer below which endpoint to avoid.
///
/// A closure from `&mut Request` and [`Next`] does. It is called when the service is ready for the
/// attempt, at once before it is sent, and never for the first one.
pub trait Prepare<Request> {
    /// Changes the request of the next attempt.
    fn prepare(&self, request: &mut Request, next: Next);
}

impl<F, Request> Prepare<Request> for F
where
    F: Fn(&mut Request, Next),
{
    fn prepare(&self, request: &mut Request, next: Next) {
        self(request, next);
    }
}

/// An attempt that is about to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Next {
    /// The number of this attempt, the first one being 1. A resend has that of the attempt that
    /// was not processed.
    pub attempt: u32,
    /// What was wrong with the attempt before.
    pub kind: Kind,
    /// Whether the attempt before was certainly not processed, and this one costs nothing.
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

/// Makes the attempts of a request as another [`Replay`] does, and touches them up.
#[derive(Clone, Copy, Debug)]
pub struct WithPrepare<R, H> {
    replay: R,
    hook: H,
}

impl<R, H> WithPrepare<R, H> {
    pub(crate) fn new(replay: R, hook: H) -> Self {
        Self { replay, hook }
    }
}

impl<R, H, Req> Replay<Req> for WithPrepare<R, H>
where
    R: Replay<Req>,
    H: Prepare<R::Request>,
{
    type Request = R::Request;
    type Spare = R::Spare;

    fn plain(&self, request: Req) -> Self::Request {
        self.replay.plain(request)
    }

    fn first(&self, request: Req) -> (Self::Request, Option<Self::Spare>) {
        self.replay.first(request)
    }

    fn replayable(&self, spare: &Self::Spare) -> bool {
        self.replay.replayable(spare)
    }

    fn complete(&self, spare: &Self::Spare) -> bool {
        self.replay.complete(spare)
    }

    fn again(&self, spare: &mut Self::Spare) -> Option<Self::Request> {
        self.replay.again(spare)
    }

    fn last(&self, spare: Self::Spare) -> Option<Self::Request> {
        self.replay.last(spare)
    }

    fn prepare(&self, request: &mut Self::Request, next: Next) {
        self.replay.prepare(request, next);
        self.hook.prepare(request, next);
    }
}

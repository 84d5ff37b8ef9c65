//! How a request with a body becomes several attempts.

use std::fmt;

use ::http::{Request, request::Parts};
use bytes::Bytes;
use http_body::Body;

use super::{
    body::{Kept, ReplayBody},
    memory::BodyMemory,
};
use crate::replay::Replay;

/// Makes the attempts of an HTTP request whose body is read once.
///
/// The first attempt streams the body at full speed; what it reads is kept for the next one, as
/// shared [`Bytes`], up to a limit for each body and one for all of them. Above either the attempt
/// goes on and the request cannot be retried any more. The head is cloned for each attempt but the
/// last.
#[derive(Clone, Debug)]
pub struct BodyReplay {
    limit: usize,
    memory: BodyMemory,
}

impl BodyReplay {
    /// Keeps up to `limit` bytes of each body that may have to be sent again.
    ///
    /// The default is 64 KiB. A frame of data counts for at least 64 bytes, a trailer for its
    /// name, its value and 32 bytes, so that many small ones cannot take much more than the limit
    /// says. With 0 only bodies that are empty, or that no attempt has read from, are sent again.
    ///
    /// All bodies together keep up to 64 MiB, or `limit` if that is more.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            memory: BodyMemory::new(limit.max(ALL_BODIES)),
        }
    }

    /// What all bodies together may keep, the clones of this and whatever else shares the
    /// `memory` included.
    #[must_use]
    pub fn memory(mut self, memory: BodyMemory) -> Self {
        self.memory = memory;
        self
    }
}

impl Default for BodyReplay {
    fn default() -> Self {
        Self::new(64 * 1024)
    }
}

impl<B: Body<Data = Bytes>> Replay<Request<B>> for BodyReplay {
    type Request = Request<ReplayBody<B>>;
    type Spare = Spare<B>;

    fn plain(&self, request: Request<B>) -> Self::Request {
        request.map(ReplayBody::plain)
    }

    fn first(&self, request: Request<B>) -> (Self::Request, Option<Spare<B>>) {
        let (head, body) = request.into_parts();
        let (body, kept) = ReplayBody::first(body, self.limit, &self.memory);
        let first = Request::from_parts(head.clone(), body);
        (first, Some(Spare { head, kept }))
    }

    fn replayable(&self, spare: &Spare<B>) -> bool {
        spare.kept.replayable()
    }

    fn complete(&self, spare: &Spare<B>) -> bool {
        spare.kept.complete()
    }

    fn again(&self, spare: &mut Spare<B>) -> Option<Self::Request> {
        let body = spare.kept.next_attempt()?;
        Some(Request::from_parts(spare.head.clone(), body))
    }

    fn last(&self, spare: Spare<B>) -> Option<Self::Request> {
        let body = spare.kept.next_attempt()?;
        Some(Request::from_parts(spare.head, body))
    }
}

/// The head of a request, and what was kept of its body.
pub struct Spare<B> {
    head: Parts,
    kept: Kept<B>,
}

impl<B> fmt::Debug for Spare<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spare")
            .field("method", &self.head.method)
            .finish_non_exhaustive()
    }
}

const ALL_BODIES: usize = 64 * 1024 * 1024;

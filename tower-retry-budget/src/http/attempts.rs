//! Headers that tell the server which attempt it sees.

use ::http::{HeaderName, HeaderValue, Request};

use crate::prepare::{Next, Prepare};

/// Tells the server the number of the attempt, from 2, in a header. A first attempt has none.
///
/// What the caller has sent under that name is replaced, in those attempts that have one.
#[derive(Clone, Debug)]
pub struct AttemptHeader {
    name: HeaderName,
}

impl AttemptHeader {
    /// In the header of this name.
    pub const fn new(name: HeaderName) -> Self {
        Self { name }
    }
}

/// `x-retry-attempt`.
impl Default for AttemptHeader {
    fn default() -> Self {
        Self::new(HeaderName::from_static("x-retry-attempt"))
    }
}

impl<B> Prepare<Request<B>> for AttemptHeader {
    fn prepare(&self, request: &mut Request<B>, next: Next) {
        if next.attempt > 1 {
            let number = HeaderValue::from(next.attempt);
            tell(request, self.name.clone(), number);
        }
    }
}

/// Tells the server how many attempts there were before: `grpc-previous-rpc-attempts` of gRPC's
/// proposal A6. A first attempt is left as it is, and what is sent again because it was not
/// processed is none more.
///
/// A number that the caller has sent is added: they are the attempts of a caller that retries too.
/// What is no number, or more than one, is replaced.
#[derive(Clone, Copy, Debug, Default)]
pub struct GrpcPreviousAttempts;

impl<B> Prepare<Request<B>> for GrpcPreviousAttempts {
    fn prepare(&self, request: &mut Request<B>, next: Next) {
        if next.attempt > 1 {
            let theirs = callers_attempts(request).unwrap_or(0);
            let previous = HeaderValue::from(theirs.saturating_add(next.attempt - 1));
            tell(request, GRPC_PREVIOUS_RPC_ATTEMPTS, previous);
        }
    }
}

fn callers_attempts<B>(request: &Request<B>) -> Option<u32> {
    let mut values = request
        .headers()
        .get_all(GRPC_PREVIOUS_RPC_ATTEMPTS)
        .into_iter();
    let only = values.next().filter(|_| values.next().is_none())?;
    only.to_str().ok()?.parse().ok()
}

fn tell<B>(request: &mut Request<B>, name: HeaderName, value: HeaderValue) {
    // Where a caller has sent as many headers as can be, the server is not told.
    let _ = request.headers_mut().try_insert(name, value);
}

const GRPC_PREVIOUS_RPC_ATTEMPTS: HeaderName =
    HeaderName::from_static("grpc-previous-rpc-attempts");

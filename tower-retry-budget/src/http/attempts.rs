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

/// Tells the server of how many retries the attempt is the last: `grpc-previous-rpc-attempts` of
/// gRPC's proposal A6. What is sent again because it was not processed is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct GrpcPreviousAttempts;

impl<B> Prepare<Request<B>> for GrpcPreviousAttempts {
    fn prepare(&self, request: &mut Request<B>, next: Next) {
        if next.attempt > 1 {
            let previous = HeaderValue::from(next.attempt - 1);
            tell(request, GRPC_PREVIOUS_RPC_ATTEMPTS, previous);
        }
    }
}

fn tell<B>(request: &mut Request<B>, name: HeaderName, value: HeaderValue) {
    // Where a caller has sent as many headers as can be, the server is not told.
    let _ = request.headers_mut().try_insert(name, value);
}

const GRPC_PREVIOUS_RPC_ATTEMPTS: HeaderName =
    HeaderName::from_static("grpc-previous-rpc-attempts");

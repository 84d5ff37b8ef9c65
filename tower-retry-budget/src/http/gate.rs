//! Which requests may be sent twice.

use ::http::{HeaderName, Method, Request};

/// Says of which requests they may be sent twice: any `Fn(&Request<B>) -> bool`, or [`NoOther`].
pub trait Gate<B> {
    /// Whether this request may be sent more than once.
    fn allows(&self, request: &Request<B>) -> bool;
}

impl<B, F: Fn(&Request<B>) -> bool> Gate<B> for F {
    fn allows(&self, request: &Request<B>) -> bool {
        self(request)
    }
}

/// None but those that the rules know of themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoOther;

impl<B> Gate<B> for NoOther {
    fn allows(&self, _: &Request<B>) -> bool {
        false
    }
}

/// The safe methods of RFC 9110, section 9.2.1: they ask for no change, so that nobody minds when
/// they come twice.
pub(super) const SAFE: [Method; 4] = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE];

/// Whether the caller says that the server tells the second of two apart.
pub(super) fn has_idempotency_key<B>(request: &Request<B>) -> bool {
    let key = request.headers().get(IDEMPOTENCY_KEY);
    key.is_some_and(|key| !key.as_bytes().trim_ascii().is_empty())
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

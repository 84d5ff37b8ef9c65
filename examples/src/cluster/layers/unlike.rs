use http::{Request, header};
use http_body::Body;
use tower_timeout_ewma::{LimitBy, RequestLimit};

/// The limit of requests whose time to an answer is not like that of the rest: what changes something
/// must not be cut off because reading is fast, what has a body takes as long as its client sends it,
/// and what switches protocols as long as the other side likes.
#[derive(Clone, Copy, Debug)]
pub struct Unlike {
    limit: RequestLimit,
}

impl Unlike {
    pub(super) fn new(limit: RequestLimit) -> Self {
        Self { limit }
    }
}

impl<B: Body> LimitBy<Request<B>> for Unlike {
    fn limit(&self, request: &Request<B>) -> RequestLimit {
        let is_alike = request.method().is_idempotent()
            && request.body().is_end_stream()
            && !request.headers().contains_key(header::UPGRADE);
        match is_alike {
            true => RequestLimit::Learnt,
            false => self.limit,
        }
    }
}

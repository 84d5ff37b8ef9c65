use std::time::Duration;

/// Which limit one request has: see [`Builder::limit_by`](crate::Builder::limit_by).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestLimit {
    /// The layer's, learnt or fixed.
    #[default]
    Learnt,
    /// The layer's, but not more than this. An answer is a sample as any other; that there was none
    /// by then counts as if the caller had given up.
    AtMost(Duration),
    /// This one. Nothing is learnt from the request: it is not like the others.
    Fixed(Duration),
    /// None. Nothing is learnt from the request either.
    Unlimited,
}

/// Which limit each request has. Any `Fn(&Req) -> RequestLimit` is one; with the feature `http` there
/// are `http::InExtensions` and `http::UntilDeadline`.
pub trait LimitBy<Req> {
    /// The limit of this request.
    fn limit(&self, request: &Req) -> RequestLimit;
}

impl<Req, F: Fn(&Req) -> RequestLimit> LimitBy<Req> for F {
    fn limit(&self, request: &Req) -> RequestLimit {
        self(request)
    }
}

/// All requests have the layer's limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OneLimit;

impl<Req> LimitBy<Req> for OneLimit {
    fn limit(&self, _: &Req) -> RequestLimit {
        RequestLimit::Learnt
    }
}

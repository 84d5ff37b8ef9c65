use ::http::Request;

use crate::{
    deadline::Deadline,
    request_limit::{LimitBy, RequestLimit},
    sent::{CarrySent, Sent},
};

/// The request's extensions: a [`RequestLimit`] that is read there, with
/// [`Builder::limit_by`](crate::Builder::limit_by), and a [`Sent`] that is put there, with
/// [`Builder::from_sent`](crate::Builder::from_sent).
///
/// ```
/// use std::time::Duration;
///
/// use http::Request;
/// use tower_timeout_ewma::{AdaptiveTimeoutLayer, RequestLimit, http::InExtensions};
///
/// let layer = AdaptiveTimeoutLayer::builder()
///     .limit_by(InExtensions)
///     .build()?;
/// # let _ = layer;
///
/// let request = Request::get("/export")
///     .extension(RequestLimit::Fixed(Duration::from_secs(60)))
///     .body(())?;
/// # let _ = request;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InExtensions;

impl<B> LimitBy<Request<B>> for InExtensions {
    fn limit(&self, request: &Request<B>) -> RequestLimit {
        let limit = request.extensions().get().copied();
        limit.unwrap_or_default()
    }
}

impl<B> CarrySent<Request<B>> for InExtensions {
    fn carry(&self, request: &mut Request<B>, sent: Sent) {
        request.extensions_mut().insert(sent);
    }
}

/// No limit is longer than the time left until the [`Deadline`] in the request's extensions, where
/// a [`DeadlineLayer`](crate::deadline::DeadlineLayer) further out has put it.
///
/// With [`WholeBody`](super::WholeBody) the deadline then holds for the body, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UntilDeadline;

impl<B> LimitBy<Request<B>> for UntilDeadline {
    fn limit(&self, request: &Request<B>) -> RequestLimit {
        match request.extensions().get::<Deadline>() {
            Some(deadline) => RequestLimit::AtMost(deadline.remaining(tokio::time::Instant::now())),
            None => RequestLimit::Learnt,
        }
    }
}

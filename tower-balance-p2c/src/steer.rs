/// Tells which endpoints a request would rather not go to, and is told which one it has got.
///
/// A retry should go elsewhere, a log should name who has answered. With the feature `http`,
/// `http::ByTrail` is one that does both by way of extensions. `()` does nothing.
///
/// The balancer owns it. One that holds the [`Balance`](crate::Balance) in turn keeps it for ever,
/// with its endpoints and its driver: let it hold it [weakly](std::sync::Weak).
pub trait Steer<K, Req, Res> {
    /// Whether [`answered`](Self::answered) is to be called, for which a reference to the endpoint
    /// is kept.
    const TELLS: bool = true;

    /// Whether the request should rather not go to this endpoint. It does all the same if there is
    /// no other that can take it. It may be asked many times for a request.
    fn avoids(&self, _request: &Req, _endpoint: &K) -> bool {
        false
    }

    /// The request is about to be sent to this endpoint.
    fn sent(&self, _request: &mut Req, _endpoint: &K) {}

    /// The response is this endpoint's.
    fn answered(&self, _response: &mut Res, _endpoint: &K) {}
}

impl<K, Req, Res> Steer<K, Req, Res> for () {
    const TELLS: bool = false;
}

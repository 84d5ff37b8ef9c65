use std::net::SocketAddr;

use http::{Request, Response};
use tower_balance_p2c::{
    Steer,
    http::{ByTrail, Trail},
};

/// The endpoints that a request and its retries were sent to, in its extensions where something
/// retries or the access log is read.
pub type Sent = Trail<SocketAddr>;

/// Retries go elsewhere: what carries its [`Sent`] avoids those endpoints while there are others.
///
/// [`ByTrail`], but responses are left alone: that would be an allocation for each of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Elsewhere;

impl<B, B2> Steer<SocketAddr, Request<B>, Response<B2>> for Elsewhere {
    const TELLS: bool = false;

    fn avoids(&self, request: &Request<B>, endpoint: &SocketAddr) -> bool {
        Steer::<_, _, Response<B2>>::avoids(&ByTrail, request, endpoint)
    }

    fn sent(&self, request: &mut Request<B>, endpoint: &SocketAddr) {
        Steer::<_, _, Response<B2>>::sent(&ByTrail, request, endpoint);
    }
}

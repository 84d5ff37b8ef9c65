//! The verified peer of a connection in each of its HTTP requests.
//!
//! ```
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_mtls::{PeerIdentity, http::AddPeerLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_mtls::BoxError> {
//! # let peer: Option<PeerIdentity> = None;
//! // Once for each connection, with `stream.peer().cloned()`.
//! let service = ServiceBuilder::new()
//!     .layer(AddPeerLayer::new(peer))
//!     .service_fn(async |request: Request<()>| {
//!         let peer = request.extensions().get::<PeerIdentity>();
//!         Ok::<_, std::io::Error>(Response::new(format!("hello, {peer:?}")))
//!     });
//! assert_eq!(service.oneshot(Request::new(())).await?.body(), "hello, None");
//! # Ok(())
//! # }
//! ```

use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use crate::{MtlsStream, PeerIdentity};

/// Puts the peer of one connection into the extensions of its requests; see the [module](self).
///
/// Make one for each connection. Where there is no peer, one that is already there is taken out: it cannot
/// be of this connection.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct AddPeerLayer {
    peer: Option<PeerIdentity>,
}

/// A service whose requests carry the peer of their connection. Made by [`AddPeerLayer`].
#[derive(Clone, Debug)]
pub struct AddPeer<S> {
    inner: S,
    peer: Option<PeerIdentity>,
}

impl AddPeerLayer {
    /// For the connection of this peer.
    pub fn new(peer: Option<PeerIdentity>) -> Self {
        Self { peer }
    }

    /// For the requests of this connection.
    pub fn of<IO>(stream: &MtlsStream<IO>) -> Self {
        Self::new(stream.peer().cloned())
    }
}

impl<S> Layer<S> for AddPeerLayer {
    type Service = AddPeer<S>;

    fn layer(&self, inner: S) -> AddPeer<S> {
        AddPeer {
            inner,
            peer: self.peer.clone(),
        }
    }
}

impl<S, B> Service<::http::Request<B>> for AddPeer<S>
where
    S: Service<::http::Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: ::http::Request<B>) -> S::Future {
        let extensions = request.extensions_mut();
        match &self.peer {
            Some(peer) => drop(extensions.insert(peer.clone())),
            None => drop(extensions.remove::<PeerIdentity>()),
        }
        self.inner.call(request)
    }
}

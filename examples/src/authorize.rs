//! Who may send requests to a listener.

use std::task::{Context, Poll};

use futures::future::Either;
use http::{Request, Response};
use tower_layer::Layer;
use tower_mtls::{
    PeerIdentity,
    authorize::{AllowList, Authorize, AuthorizeLayer, ResponseFuture},
};
use tower_service::Service;

use crate::{BoxError, config::Clients, http::body::ClientBody};

/// The check of a listener's `allow`, which counts what it decides.
pub type AuthorizeClients = AuthorizeLayer<FindPeer, AllowList>;

/// Where the server has put the peer of the connection.
pub type FindPeer = fn(&Request<ClientBody>) -> Option<&PeerIdentity>;

/// A listener's way in: all requests, or those of clients that are allowed.
///
/// What is inside must always be ready, as [`Routes`](crate::route::Routes) are.
#[derive(Clone, Debug)]
pub enum Gate<S> {
    /// Nobody is asked.
    Open(S),
    /// Everybody is.
    Closed(Authorize<S, FindPeer, AllowList>),
    /// Who shows a certificate is.
    Anonymous(Authorize<S, FindPeer, AllowList>),
}

impl<S> Gate<S> {
    /// Around the routes of a listener; `clients` is what it says of its clients, with their check.
    pub fn new(inner: S, clients: Option<(&Clients, &AuthorizeClients)>) -> Self {
        match clients {
            None => Self::Open(inner),
            Some((clients, authorize)) if clients.allow_anonymous => {
                Self::Anonymous(authorize.layer(inner))
            }
            Some((_, authorize)) => Self::Closed(authorize.layer(inner)),
        }
    }
}

/// What [`Gate::new`] takes.
pub fn authorize(clients: &Clients) -> AuthorizeClients {
    AuthorizeLayer::from_extensions(clients.allow.clone()).audit(clients.audit)
}

impl<S, B> Service<Request<ClientBody>> for Gate<S>
where
    S: Service<Request<ClientBody>, Response = Response<B>, Error = BoxError> + Clone,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Either<S::Future, ResponseFuture<S::Future, Response<B>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Open(inner) => inner.poll_ready(cx),
            Self::Closed(authorize) | Self::Anonymous(authorize) => authorize.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request<ClientBody>) -> Self::Future {
        match self {
            Self::Open(inner) => Either::Left(inner.call(request)),
            Self::Anonymous(authorize) if request.extensions().get::<PeerIdentity>().is_none() => {
                Either::Left(authorize.get_ref().clone().call(request))
            }
            Self::Closed(authorize) | Self::Anonymous(authorize) => {
                Either::Right(authorize.call(request))
            }
        }
    }
}

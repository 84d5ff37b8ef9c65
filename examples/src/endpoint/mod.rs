//! One endpoint: its adaptive timeout, its reconnecting connection, its protocol, its TLS.

mod age;
mod body;
mod connect;
mod connection;
mod ended;
mod handshake;
mod http1;
mod http2;
mod idle_limit;
mod link;
mod met;
mod queue;
mod resend;
mod timeout;
mod unprocessed;
mod upkeep;

use std::net::SocketAddr;

use tower::util::Either;
use tower_layer::Layer;
use tower_reconnect::Reconnect;
use tower_timeout_ewma::deadline::{Deadlines, http::HttpDeadline};

pub use self::{
    body::EndpointBody,
    connect::{Connector, Io, connector},
    connection::{Connection, RequestBody},
    ended::Ended,
    handshake::{Handshake, HandshakeLayer},
    http1::{Lease, Pool},
    http2::Http2,
    link::Link,
    met::Met,
    queue::{NoFreeConnection, TooManyPending},
    resend::{Resend, ResendFuture, ResendLayer},
    timeout::{RouteTimeout, TimeoutOf},
    unprocessed::Unprocessed,
};
use crate::{
    cluster::layers::{self, HttpTimeoutLayer},
    config::{ClusterProtocol, ReconnectConfig},
};

/// A service for one endpoint, as the balancer sees it. The deadline is here again, so that what an
/// endpoint is told is what is left when the attempt begins.
pub type Endpoint<B> = Deadlines<Either<TimeoutOf<Connected<B>>, Connected<B>>, HttpDeadline>;

/// A connection that is rebuilt. What it has not sent it gives back: see [`Resend`].
pub type Connected<B> = Reconnect<Connection<B>>;

/// What all endpoints of a cluster have in common.
#[derive(Clone, Debug)]
pub struct EndpointSettings {
    /// TCP, and TLS where it is configured.
    pub connector: Connector,
    /// What is spoken over it.
    pub protocol: ClusterProtocol,
    /// The limit of requests that bring none of their [route](RouteTimeout); `None`: no limit.
    pub timeout: Option<HttpTimeoutLayer>,
    /// How connections are made and kept.
    pub reconnect: ReconnectConfig,
}

impl EndpointSettings {
    /// Builds the service for `address`, and the link that tells its connection's state.
    ///
    /// # Errors
    ///
    /// A setting that [`tower_reconnect`] refuses.
    pub fn endpoint<B>(
        &self,
        address: SocketAddr,
    ) -> Result<(Endpoint<B>, Link<B>), tower_reconnect::error::InvalidSetting>
    where
        B: RequestBody,
    {
        let handshake = HandshakeLayer::new(self.protocol, self.reconnect);
        let handshake = handshake.layer(self.connector.clone());
        let met = handshake.met();
        let connected = layers::reconnect(address, &self.reconnect)?.layer(handshake);
        let link = Link::new(&connected, met);
        let endpoint = match &self.timeout {
            Some(timeout) => Either::Left(TimeoutOf::new(connected, timeout.clone())),
            None => Either::Right(connected),
        };
        Ok((layers::deadline().layer(endpoint), link))
    }
}

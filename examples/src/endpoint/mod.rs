//! One endpoint: its adaptive timeout, its reconnecting connection, its protocol, its TLS.

mod connect;
mod connection;
mod ended;
mod handshake;
mod http1;
mod resend;
mod timeout;

use std::net::SocketAddr;

use tower::util::Either;
use tower_layer::Layer;
use tower_reconnect::{Reconnect, Watch};
use tower_timeout_ewma::deadline::{Deadlines, http::HttpDeadline};

pub use self::{
    connect::{Connector, Io, connector},
    connection::{Connection, EndpointBody, Http2, RequestBody},
    ended::Ended,
    handshake::{Handshake, HandshakeLayer},
    http1::{Lease, NoFreeConnection, Pool, TooManyPending},
    resend::{Resend, ResendFuture, ResendLayer},
    timeout::{RouteTimeout, TimeoutOf},
};
use crate::{
    cluster::layers::{self, HttpTimeoutLayer},
    config::{ClusterProtocol, ReconnectConfig},
};

/// A service for one endpoint, as the balancer sees it. The deadline is here again, so that what an
/// endpoint is told is what is left when the attempt begins.
pub type Endpoint<B> = Deadlines<Either<TimeoutOf<Connected<B>>, Connected<B>>, HttpDeadline>;

/// A connection that is rebuilt; what it has not sent is sent by the next one.
pub type Connected<B> = Resend<Reconnect<Connection<B>>>;

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
    /// Builds the service for `address`, and the watch that tells its connection's state.
    ///
    /// # Errors
    ///
    /// A setting that [`tower_reconnect`] refuses.
    pub fn endpoint<B>(
        &self,
        address: SocketAddr,
    ) -> Result<(Endpoint<B>, Watch), tower_reconnect::error::InvalidSetting>
    where
        B: RequestBody,
    {
        let handshake = HandshakeLayer::new(self.protocol, self.reconnect);
        let reconnect = layers::reconnect(address, &self.reconnect)?
            .layer(handshake.layer(self.connector.clone()));
        let watch = reconnect.watch();
        let connected = ResendLayer::new(self.reconnect.connect_timeout).layer(reconnect);
        let endpoint = match &self.timeout {
            Some(timeout) => Either::Left(TimeoutOf::new(connected, timeout.clone())),
            None => Either::Right(connected),
        };
        Ok((layers::deadline().layer(endpoint), watch))
    }
}

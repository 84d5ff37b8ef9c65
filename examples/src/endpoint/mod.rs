//! One endpoint: its adaptive timeout, its reconnecting connection, its protocol, its TLS.

mod connect;
mod connection;
mod handshake;
mod http1;

use std::net::SocketAddr;

use tower::util::Either;
use tower_layer::Layer;
use tower_reconnect::{Reconnect, Watch};
use tower_timeout_ewma::{AdaptiveTimeout, AdaptiveTimeoutLayer};

pub use self::{
    connect::{Connector, Io, connector},
    connection::{Connection, EndpointBody, Http2, RequestBody},
    handshake::{Handshake, HandshakeLayer},
    http1::{Lease, Pool, PoolClosed, TooManyPending},
};
use crate::{
    cluster::layers,
    config::{ClusterProtocol, ReconnectConfig},
};

/// A service for one endpoint, as the balancer sees it.
pub type Endpoint<B> = Either<AdaptiveTimeout<Reconnect<Connection<B>>>, Reconnect<Connection<B>>>;

/// What all endpoints of a cluster have in common.
#[derive(Clone, Debug)]
pub struct EndpointSettings {
    /// TCP, and TLS where it is configured.
    pub connector: Connector,
    /// What is spoken over it.
    pub protocol: ClusterProtocol,
    /// One learnt limit for the whole cluster; `None`: no limit.
    pub timeout: Option<AdaptiveTimeoutLayer>,
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
        let endpoint = match &self.timeout {
            Some(timeout) => Either::Left(timeout.layer(reconnect)),
            None => Either::Right(reconnect),
        };
        Ok((endpoint, watch))
    }
}

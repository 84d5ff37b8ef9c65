//! One endpoint: its adaptive timeout, its reconnecting connection, its protocol, its TLS.

mod age;
mod body;
mod connect;
mod connection;
mod dials;
mod ended;
mod handshake;
mod http1;
mod http2;
mod idle_limit;
mod link;
mod log;
mod met;
mod queue;
mod resend;
mod timeout;
mod unprocessed;
mod upkeep;
mod upstream;

use std::net::SocketAddr;

use tower::util::Either;
use tower_layer::Layer;
use tower_timeout_ewma::deadline::{Deadlines, http::HttpDeadline};

use self::handshake::Dialer;
pub(crate) use self::log::in_full;
pub use self::{
    body::EndpointBody,
    connect::{Connector, Io, connector},
    connection::{Connection, RequestBody},
    ended::Ended,
    handshake::{BadHttp, Handshake, HandshakeLayer},
    http1::{Lease, Pool},
    http2::Http2,
    link::Link,
    log::{ConnectionLog, Failure},
    met::Met,
    queue::{NoFreeConnection, TooManyPending},
    resend::{Resend, ResendFuture, ResendLayer},
    timeout::{RouteTimeout, TimeoutOf},
    unprocessed::Unprocessed,
    upstream::Upstream,
};
use crate::{
    cluster::layers::{self, HttpTimeoutLayer},
    config::{ClusterProtocol, ReconnectConfig},
    telemetry::UpstreamMetrics,
};

/// A service for one endpoint, as the balancer sees it. The deadline is here again, so that what an
/// endpoint is told is what is left when the attempt begins.
pub type Endpoint<B> = Deadlines<Either<TimeoutOf<Upstream<B>>, Upstream<B>>, HttpDeadline>;

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
    /// Where they are counted.
    pub metrics: UpstreamMetrics,
}

impl EndpointSettings {
    /// Builds the service for `address`, and the link that tells its connections' state.
    ///
    /// Must be called within a tokio runtime.
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
        let log = ConnectionLog::new(self.metrics.clone());
        let upstream = self.upstream(address, log.clone())?;
        let link = Link::new(&upstream, log);
        let endpoint = match &self.timeout {
            Some(timeout) => Either::Left(TimeoutOf::new(upstream, timeout.clone())),
            None => Either::Right(upstream),
        };
        Ok((layers::deadline().layer(endpoint), link))
    }

    fn upstream<B: RequestBody>(
        &self,
        address: SocketAddr,
        log: ConnectionLog,
    ) -> Result<Upstream<B>, tower_reconnect::error::InvalidSetting> {
        let (connector, protocol) = (self.connector.clone(), self.protocol);
        match protocol {
            ClusterProtocol::Http1 | ClusterProtocol::Tcp => {
                let dialer = Dialer {
                    connector,
                    address,
                    settings: self.reconnect,
                    log,
                };
                Ok(Upstream::Exclusive(Pool::new(dialer)?))
            }
            ClusterProtocol::Http2 | ClusterProtocol::Auto => {
                let handshake = HandshakeLayer::new(protocol, self.reconnect).log(log.clone());
                let reconnect = layers::reconnect(address, &self.reconnect, log)?;
                Ok(Upstream::Shared(
                    reconnect.layer(handshake.layer(connector)),
                ))
            }
        }
    }
}

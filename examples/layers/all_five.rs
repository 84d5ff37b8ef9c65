//! All five layers, with the proxy's own HTTP connection in the middle:
//! `cargo run -p examples --example all_five`.
//!
//! One builder wraps *connections* (from an address to a service that is connected), the other wraps
//! *requests* (from the caller to one of the endpoints). The balancer is where they meet.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use examples::{
    BoxError,
    config::{ClusterProtocol, ReconnectConfig},
    endpoint::{HandshakeLayer, connector},
};
use futures::stream;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Empty, Full};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_balance_p2c::{BalanceLayer, Change};
use tower_mtls::{Expected, MtlsLayer, accept::Acceptor, dev::Authority};
use tower_reconnect::ReconnectLayer;
use tower_retry_budget::{
    Budget, RetryLayer,
    http::{BodyReplay, StatusPolicy},
};
use tower_timeout_ewma::AdaptiveTimeoutLayer;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let authority = Authority::new("example.org".parse()?)?;
    let mut addresses = Vec::new();
    for name in ["a", "b", "c"] {
        addresses.push(upstream(&authority, name).await?);
    }

    // Connections: an address goes in, a connected service comes out.
    let mtls = MtlsLayer::builder(authority.trust_bundle())
        .credentials(authority.svid("spiffe://example.org/client")?.credentials())
        .expect(Expected::TrustDomain)
        .alpn(["h2"])
        .build()?;
    let handshake = HandshakeLayer::new(ClusterProtocol::Http2, ReconnectConfig::default());
    let endpoints = addresses.into_iter().map(move |address: SocketAddr| {
        let endpoint = ServiceBuilder::new()
            .layer(ReconnectLayer::new(address))
            .layer(handshake.clone())
            .service(connector(Duration::from_secs(30), Some(&mtls)));
        Ok::<_, Infallible>(Change::Insert(address, endpoint))
    });

    // Requests: each attempt goes to the better of two endpoints, within a limit that is learnt.
    let retry = RetryLayer::builder(Budget::new())
        .policy(StatusPolicy::new())
        .replay(BodyReplay::default())
        .build()?;
    let mut client = ServiceBuilder::new()
        .layer(retry)
        .layer(AdaptiveTimeoutLayer::new())
        .layer(BalanceLayer::new())
        .service(stream::iter(endpoints));

    for _ in 0..6 {
        let mut request = Request::new(Empty::<Bytes>::new());
        request
            .headers_mut()
            .insert(header::HOST, HeaderValue::from_static("example.org"));
        let response = client.ready().await?.call(request).await?;
        let body = response.into_body().collect().await?.to_bytes();
        println!("{}", String::from_utf8_lossy(&body));
    }
    Ok(())
}

/// A server that greets whoever shows a certificate of the trust domain.
async fn upstream(authority: &Authority, name: &'static str) -> Result<SocketAddr, BoxError> {
    let identity = authority.svid(format!("spiffe://example.org/{name}"))?;
    let acceptor = Acceptor::builder(identity.credentials())
        .require_client(authority.trust_bundle())
        .alpn(["h2"])
        .build()?;
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    tokio::spawn(async move {
        loop {
            let (stream, _): (TcpStream, _) = socket.accept().await?;
            let stream = acceptor.clone().oneshot(stream).await?;
            let client = stream.peer().map(ToString::to_string).unwrap_or_default();
            let service = service_fn(move |_: Request<Incoming>| {
                let greeting = format!("{name} greets {client}");
                async move { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(greeting))) }
            });
            let builder = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
        }
        #[allow(unreachable_code, reason = "names the type of the errors above")]
        Ok::<_, BoxError>(())
    });
    Ok(address)
}

//! tonic behind mutual TLS, each call authorised: `cargo run -p examples --example mtls_tonic`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::net::SocketAddr;

use examples::BoxError;
use hyper::server::conn::http2;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::{Endpoint, Uri};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{Layer, ServiceBuilder, service_fn};
use tower_mtls::{
    Expected, MtlsLayer,
    accept::{Acceptor, MtlsListener},
    authorize::{AllowList, AuthorizeLayer, Forbidden},
    dev::Authority,
    http::AddPeerLayer,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let authority = Authority::new("example.org".parse()?)?;
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    let acceptor = Acceptor::builder(authority.svid("/health")?.credentials())
        .require_client(authority.trust_bundle())
        .alpn(["h2"])
        .build()?;

    let (_reporter, health) = tonic_health::server::health_reporter();
    let allow = AllowList::parse(["spiffe://example.org/shop/*"])?;
    let app = ServiceBuilder::new()
        .layer(AuthorizeLayer::from_extensions(allow).respond(Forbidden))
        .service(health);
    tokio::spawn(async move {
        let mut listener = MtlsListener::new(socket, acceptor);
        loop {
            let (stream, _) = listener.accept().await;
            let service = TowerToHyperService::new(AddPeerLayer::of(&stream).layer(app.clone()));
            let http = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
        }
    });

    println!("{}", check(&authority, "/shop/web", address).await?);
    println!("{}", check(&authority, "/stranger", address).await?);
    Ok(())
}

/// What the health service says to this workload.
async fn check(authority: &Authority, path: &str, address: SocketAddr) -> Result<String, BoxError> {
    let mtls = MtlsLayer::builder(authority.trust_bundle())
        .credentials(authority.svid(path)?.credentials())
        .expect(Expected::Spiffe(vec![
            "spiffe://example.org/health".parse()?,
        ]))
        .alpn(["h2"])
        .build()?;
    let connector = ServiceBuilder::new()
        .map_response(TokioIo::new)
        .layer(mtls)
        .service(service_fn(move |_: Uri| TcpStream::connect(address)));
    let endpoint = Endpoint::from_static("http://health");
    let channel = endpoint.connect_with_connector(connector).await?;
    let request = HealthCheckRequest::default();
    Ok(match HealthClient::new(channel).check(request).await {
        Ok(reply) => format!("{path}: {:?}", reply.into_inner().status()),
        Err(status) => format!("{path}: {:?}, {}", status.code(), status.message()),
    })
}

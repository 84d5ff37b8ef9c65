//! hyper behind mutual TLS, each request authorised: `cargo run -p examples --example mtls_hyper`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{convert::Infallible, net::SocketAddr};

use examples::BoxError;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_mtls::{
    Expected, MtlsLayer, PeerIdentity,
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
    let acceptor = Acceptor::builder(authority.svid("/greeter")?.credentials())
        .require_client(authority.trust_bundle())
        .alpn(["h2", "http/1.1"])
        .build()?;

    // One stack for all connections: whoever is below /shop may ask.
    let app = ServiceBuilder::new()
        .layer(
            AuthorizeLayer::from_extensions(AllowList::parse(["spiffe://example.org/shop/*"])?)
                .respond(Forbidden),
        )
        .service_fn(greet);
    tokio::spawn(async move {
        let mut listener = MtlsListener::new(socket, acceptor);
        loop {
            let (stream, _) = listener.accept().await;
            let service = TowerToHyperService::new(AddPeerLayer::of(&stream).layer(app.clone()));
            tokio::spawn(async move {
                let http = auto::Builder::new(TokioExecutor::new());
                http.serve_connection(TokioIo::new(stream), service).await
            });
        }
    });

    println!("{}", ask(&authority, "/shop/web", address).await?);
    println!("{}", ask(&authority, "/stranger", address).await?);
    Ok(())
}

async fn greet(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let peer = request.extensions().get::<PeerIdentity>();
    let peer = peer.map(ToString::to_string).unwrap_or_default();
    Ok(Response::new(format!("hello, {peer}")))
}

/// What the server answers to this workload.
async fn ask(authority: &Authority, path: &str, address: SocketAddr) -> Result<String, BoxError> {
    let mtls = MtlsLayer::builder(authority.trust_bundle())
        .credentials(authority.svid(path)?.credentials())
        .expect(Expected::Spiffe(vec![
            "spiffe://example.org/greeter".parse()?,
        ]))
        .alpn(["http/1.1"])
        .build()?;
    let stream = mtls
        .layer(service_fn(TcpStream::connect))
        .oneshot(address)
        .await?;
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/")
        .header("host", "greeter")
        .body(Empty::<&[u8]>::new())?;
    let response = client.send_request(request).await?;
    let status = response.status();
    let body = response.collect().await?.to_bytes();
    Ok(format!(
        "{path}: {status} {}",
        String::from_utf8_lossy(&body)
    ))
}

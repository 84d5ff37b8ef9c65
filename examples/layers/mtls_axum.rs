//! axum behind mutual TLS, each request authorised, asked by curl:
//! `cargo run -p examples --example mtls_axum`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{convert::Infallible, fs, future::ready, io, net::SocketAddr};

use axum::{
    Extension, Router,
    routing::get,
    serve::{IncomingStream, Listener},
};
use examples::BoxError;
use tokio::{
    net::{TcpListener, TcpStream},
    process::Command,
};
use tower::{Layer, service_fn};
use tower_mtls::{
    MtlsStream, PeerIdentity,
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
    let acceptor = Acceptor::builder(authority.dns(&["localhost"])?.credentials())
        .require_client(authority.trust_bundle())
        .alpn(["h2", "http/1.1"])
        .build()?;

    let allow = AllowList::parse(["spiffe://example.org/shop/*"])?;
    let app: Router = Router::new().route("/", get(greet));
    let app = AuthorizeLayer::from_extensions(allow)
        .respond(Forbidden)
        .layer(app);
    let connections = service_fn(move |incoming: IncomingStream<'_, Verified>| {
        let service = AddPeerLayer::of(incoming.io()).layer(app.clone());
        ready(Ok::<_, Infallible>(service))
    });
    let listener = Verified(MtlsListener::new(socket, acceptor));
    tokio::spawn(async move { axum::serve(listener, connections).await });

    println!("{}", curl(&authority, "/shop/web", address).await?);
    println!("{}", curl(&authority, "/stranger", address).await?);
    Ok(())
}

async fn greet(Extension(peer): Extension<PeerIdentity>) -> String {
    format!("hello, {peer}")
}

/// What curl gets with the certificate of this workload.
async fn curl(authority: &Authority, path: &str, address: SocketAddr) -> Result<String, BoxError> {
    let files = tempfile::tempdir()?;
    let file = |name| files.path().join(name);
    let svid = authority.svid(path)?;
    fs::write(file("me.pem"), svid.chain_pem())?;
    fs::write(file("me.key"), svid.key_pem())?;
    fs::write(file("ca.pem"), authority.ca_pem())?;
    let output = Command::new("curl")
        .current_dir(files.path())
        .args(["--silent", "--show-error", "--max-time", "10"])
        .args(["--cert", "me.pem", "--key", "me.key", "--cacert", "ca.pem"])
        .args(["--write-out", " (%{http_code}, HTTP/%{http_version})"])
        .arg(format!("https://localhost:{}/", address.port()))
        .output()
        .await?;
    let (answer, fault) = (output.stdout, output.stderr);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    Ok(format!("{path}: {} {}", text(answer), text(fault)))
}

/// The listener as axum takes it.
struct Verified(MtlsListener<TcpListener>);

impl Listener for Verified {
    type Io = MtlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        self.0.accept().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }
}

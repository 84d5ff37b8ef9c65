//! Two workloads that know each other: `cargo run -p examples --example mtls`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_mtls::{Expected, MtlsLayer, accept::Acceptor, dev::Authority};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let authority = Authority::new("example.org".parse()?)?;
    let frontend = authority.svid("spiffe://example.org/frontend")?;
    let backend = authority.svid("spiffe://example.org/backend")?;

    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    let acceptor = Acceptor::builder(backend.credentials())
        .require_client(authority.trust_bundle())
        .build()?;
    let server = tokio::spawn(async move {
        let (stream, _) = socket.accept().await?;
        let mut stream = acceptor.oneshot(stream).await?;
        let client = stream.peer().map(ToString::to_string).unwrap_or_default();
        stream
            .write_all(format!("hello, {client}").as_bytes())
            .await?;
        stream.shutdown().await?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    });

    let mtls = MtlsLayer::builder(authority.trust_bundle())
        .credentials(frontend.credentials())
        .expect(Expected::Spiffe(vec![
            "spiffe://example.org/backend".parse()?,
        ]))
        .build()?;
    let connect = ServiceBuilder::new()
        .layer(mtls)
        .service(service_fn(TcpStream::connect));
    let mut stream = connect.oneshot(address).await?;
    println!(
        "connected to {}",
        stream.peer().map(ToString::to_string).unwrap_or_default()
    );
    let mut greeting = String::new();
    stream.read_to_string(&mut greeting).await?;
    println!("it says: {greeting}");
    server.await?
}

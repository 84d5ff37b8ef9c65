//! A TCP server that is killed and comes back: `cargo run -p examples --example reconnect`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Mutex,
    time::sleep,
};
use tower::{Service, ServiceBuilder, service_fn};
use tower_reconnect::ReconnectLayer;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One connection that is asked one thing at a time, and knows when it is broken.
#[derive(Clone)]
struct Echo(Arc<Mutex<TcpStream>>);

impl Service<u8> for Echo {
    type Response = u8;
    type Error = io::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = io::Result<u8>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<()>> {
        let Ok(stream) = self.0.try_lock() else {
            return Ok(()).into();
        };
        match stream.try_read(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()).into(),
            _ => Err(io::ErrorKind::ConnectionReset.into()).into(),
        }
    }

    fn call(&mut self, byte: u8) -> Self::Future {
        let stream = self.0.clone();
        Box::pin(async move {
            let mut stream = stream.lock().await;
            stream.write_u8(byte).await?;
            stream.read_u8().await
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    let server = tokio::spawn(serve(socket));

    let dial = service_fn(|address| async move {
        Ok::<_, io::Error>(Echo(Arc::new(Mutex::new(
            TcpStream::connect(address).await?,
        ))))
    });
    let reconnect = ReconnectLayer::builder(address)
        .backoff(Duration::from_millis(20), Duration::from_millis(200))
        .stable_after(Duration::from_millis(50))
        .build()?;
    let service = ServiceBuilder::new().layer(reconnect).service(dial);
    let watch = service.watch();

    println!(
        "echo: {}",
        tower::ServiceExt::oneshot(service.clone(), 1).await?
    );
    sleep(Duration::from_millis(60)).await;
    server.abort();
    println!("server gone: {}", server.await.is_err());
    let waiting = tokio::spawn(tower::ServiceExt::oneshot(service.clone(), 2));
    sleep(Duration::from_millis(100)).await;
    println!("meanwhile: {:?}", watch.state());
    let _server = tokio::spawn(serve(TcpListener::bind(address).await?));
    println!(
        "echo: {}, after {} dials",
        waiting.await??,
        watch.stats().dials
    );
    Ok(())
}

async fn serve(socket: TcpListener) -> io::Result<()> {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (mut stream, _) = socket.accept().await?;
        connections.spawn(async move {
            let (mut read, mut write) = stream.split();
            tokio::io::copy(&mut read, &mut write).await
        });
    }
}

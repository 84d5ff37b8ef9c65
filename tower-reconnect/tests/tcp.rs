//! On real sockets and in real time: a server that dies and comes back.
#![allow(clippy::unwrap_used)]

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_reconnect::{Reconnect, ReconnectLayer, State};
use tower_service::Service;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_clones_recover_when_the_server_is_restarted() {
    timeout(Duration::from_secs(30), restart()).await.unwrap();
}

async fn restart() {
    let server = Server::start("127.0.0.1:0".parse().unwrap()).await;
    let address = server.address;
    let service = connect(address);
    let mut watch = service.watch();
    for request in 0..8 {
        assert_eq!(echo(service.clone(), request).await, request);
    }
    assert_eq!(watch.stats().dials, 1);

    server.kill().await;
    let mut clones = JoinSet::new();
    for request in 0..8 {
        clones.spawn(echo(service.clone(), request));
    }
    while watch.stats().failures < 3 {
        assert!(watch.changed().await);
    }
    let cause = watch.last_cause().unwrap();
    let cause = cause.downcast_ref::<io::Error>().unwrap();
    assert_eq!(cause.kind(), io::ErrorKind::ConnectionRefused);
    assert!(clones.try_join_next().is_none(), "nobody answers");

    let server = Server::start(address).await;
    let mut answers = clones.join_all().await;
    answers.sort_unstable();
    assert_eq!(answers, (0..8).collect::<Vec<_>>());
    assert_eq!(watch.stats().connections, 2);
    assert!(matches!(watch.state(), State::Connected { .. }));
    server.kill().await;
}

/// Repeats what was lost with a connection, as a retry would.
async fn echo(mut service: Reconnect<Connection>, request: u64) -> u64 {
    loop {
        if let Ok(response) = service.ready().await.unwrap().call(request).await {
            return response;
        }
    }
}

fn connect(address: SocketAddr) -> Reconnect<Connection> {
    let dial = service_fn(|address: SocketAddr| async move {
        let stream = TcpStream::connect(address).await?;
        io::Result::Ok(Connection::new(stream))
    });
    ReconnectLayer::builder(address)
        .backoff(Duration::from_millis(5), Duration::from_millis(50))
        .build()
        .unwrap()
        .layer(dial)
}

/// Answers each number with itself.
struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Some(Ok((stream, _))) = tokio::select! {
                accepted = listener.accept() => Some(accepted),
                _ = &mut stopped => None,
            } {
                connections.spawn(async move {
                    let (mut read, mut write) = stream.into_split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
            drop(listener);
            connections.shutdown().await;
        });
        Self {
            address,
            stop,
            task,
        }
    }

    /// Returns when nothing of it is left.
    async fn kill(self) {
        drop(self.stop);
        self.task.await.unwrap();
    }
}

/// A connection whose socket belongs to a task, as with HTTP/2.
#[derive(Clone)]
struct Connection(Arc<mpsc::UnboundedSender<(u64, oneshot::Sender<u64>)>>);

impl Connection {
    fn new(mut stream: TcpStream) -> Self {
        let (sender, mut requests) = mpsc::unbounded_channel::<(u64, oneshot::Sender<u64>)>();
        tokio::spawn(async move {
            let (mut read, mut write) = stream.split();
            let mut waiting = std::collections::VecDeque::new();
            loop {
                tokio::select! {
                    request = requests.recv() => {
                        let Some((request, response)) = request else { return Ok(()) };
                        waiting.push_back(response);
                        write.write_u64(request).await?;
                    }
                    response = read.read_u64() => {
                        let response = response?;
                        let waiting: oneshot::Sender<u64> = waiting.pop_front().unwrap();
                        let _ = waiting.send(response);
                    }
                }
            }
            #[expect(unreachable_code, reason = "it names the type of the block")]
            io::Result::Ok(())
        });
        Self(Arc::new(sender))
    }
}

impl Service<u64> for Connection {
    type Response = u64;
    type Error = io::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = io::Result<u64>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.is_closed() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u64) -> Self::Future {
        let (sender, response) = oneshot::channel();
        let _ = self.0.send((request, sender));
        Box::pin(async { response.await.map_err(io::Error::other) })
    }
}

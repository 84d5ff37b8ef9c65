//! Bytes on a socket, where an HTTP library would be too well-behaved.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use examples::listen::bind;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

/// An endpoint that speaks as the test says; killed when dropped.
pub(crate) struct RawUpstream {
    pub(crate) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl RawUpstream {
    /// Runs `speak` on each connection, whose number is given with it, from zero.
    pub(crate) fn start<F>(speak: impl Fn(TcpStream, usize) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = accepted.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = socket.accept().await.unwrap();
                let number = count.fetch_add(1, Ordering::Relaxed);
                connections.spawn(speak(stream, number));
            }
        });
        Self {
            address,
            accepted,
            _tasks: tasks,
        }
    }

    /// Answers the first request of each connection with these bytes and closes.
    pub(crate) fn answering(answer: &'static [u8]) -> Self {
        Self::start(move |mut stream, _| async move {
            if head(&mut stream).await.is_some() {
                stream.write_all(answer).await.unwrap();
            }
        })
    }

    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

/// Reads until the end of a head, or `None` where the peer left before it.
pub(crate) async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// Writes all of `bytes`, then reads until the proxy closes.
pub(crate) async fn exchange(proxy: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    // The proxy may refuse before it has read everything.
    let _ = stream.write_all(bytes).await;
    until_closed(&mut stream).await
}

/// Everything that comes until the peer closes or resets.
pub(crate) async fn until_closed(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    let mut piece = [0; 4096];
    let reading = async {
        while let Ok(length @ 1..) = stream.read(&mut piece).await {
            received.extend_from_slice(&piece[..length]);
        }
    };
    let closed = timeout(Duration::from_secs(20), reading).await;
    let received = String::from_utf8_lossy(&received).into_owned();
    assert!(closed.is_ok(), "still open after {received:?}");
    received
}

/// The status of an HTTP/1.1 answer.
pub(crate) fn status(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

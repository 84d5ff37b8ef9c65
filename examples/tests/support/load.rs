use std::{
    error::Error,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Version, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

/// GETs in a steady stream, from clients that keep their connections and know their manners: they
/// leave when they are asked to, and send again what certainly was not sent.
pub struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    whole: AtomicUsize,
    reconnected: AtomicUsize,
    asked_to_leave: AtomicUsize,
    never_accepted: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

/// What became of the requests.
pub struct Tally {
    /// Answered with 200, to the last byte.
    pub whole: usize,
    /// Connections after each client's first.
    pub reconnected: usize,
    /// Answers with `connection: close`, or HTTP/2 connections that the server ended.
    pub asked_to_leave: usize,
    /// Connections that were reset before their first answer, as those are that come between a
    /// listener's last accept and its end.
    pub never_accepted: usize,
    /// All others.
    pub failures: Vec<String>,
}

enum Sender {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

/// What a request says about its connection.
enum Next {
    Stay,
    Leave,
}

impl Load {
    /// So many clients, each with a request every 10 ms at most.
    pub fn start(proxy: SocketAddr, version: Version, clients: usize) -> Self {
        let shared = Arc::<Shared>::default();
        let clients = (0..clients).map(|_| run(proxy, version, shared.clone()));
        Self {
            clients: clients.collect(),
            shared,
        }
    }

    /// Requests answered whole so far.
    pub fn whole(&self) -> usize {
        self.shared.whole.load(Relaxed)
    }

    /// Lets each client end its request.
    pub async fn finish(mut self) -> Tally {
        self.shared.stop.store(true, Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
        self.tally()
    }

    /// Waits until no client can connect any more.
    pub async fn refused(mut self) -> Tally {
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
        self.tally()
    }

    fn tally(&self) -> Tally {
        Tally {
            whole: self.shared.whole.load(Relaxed),
            reconnected: self.shared.reconnected.load(Relaxed),
            asked_to_leave: self.shared.asked_to_leave.load(Relaxed),
            never_accepted: self.shared.never_accepted.load(Relaxed),
            failures: self.shared.failures.lock().unwrap().clone(),
        }
    }
}

/// One client, until it is told to stop or refused a connection.
async fn run(proxy: SocketAddr, version: Version, shared: Arc<Shared>) {
    let mut ticks = interval(Duration::from_millis(10));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while let Some(mut sender) = Sender::connect(proxy, version).await {
        let mut fresh = true;
        loop {
            if shared.stop.load(Relaxed) {
                return;
            }
            ticks.tick().await;
            match sender.request(&shared, fresh).await {
                Next::Stay => fresh = false,
                Next::Leave => break,
            }
        }
        shared.reconnected.fetch_add(1, Relaxed);
    }
}

impl Sender {
    async fn connect(proxy: SocketAddr, version: Version) -> Option<Self> {
        let stream = TcpStream::connect(proxy).await.ok()?;
        stream.set_nodelay(true).unwrap();
        let io = TokioIo::new(stream);
        if version == Version::HTTP_2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.ok()?;
            tokio::spawn(connection);
            return Some(Self::Http2(sender));
        }
        let (sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        Some(Self::Http1(sender))
    }

    async fn request(&mut self, shared: &Shared, fresh: bool) -> Next {
        let request = Request::get("http://proxy.test/load").header("host", "proxy.test");
        let request = request.body(Empty::new()).unwrap();
        let result = match self {
            Self::Http1(sender) => match sender.ready().await {
                Ok(()) => sender.try_send_request(request).await,
                Err(_) => return shared.left(),
            },
            Self::Http2(sender) => match sender.ready().await {
                Ok(()) => sender.try_send_request(request).await,
                Err(_) => return shared.left(),
            },
        };
        let response = match result {
            Ok(response) => response,
            Err(mut error) => {
                if error.take_message().is_none() {
                    shared.unanswered(&error.into_error(), fresh);
                }
                return shared.left();
            }
        };
        let status = response.status();
        let leave = response
            .headers()
            .get(header::CONNECTION)
            .is_some_and(|value| value == "close");
        match response.into_body().collect().await {
            Ok(_) if status == 200 => _ = shared.whole.fetch_add(1, Relaxed),
            Ok(body) => shared.failed(format!("{status}: {:?}", body.to_bytes())),
            Err(error) => shared.failed(format!("broke off: {error:?}")),
        }
        if leave { shared.left() } else { Next::Stay }
    }
}

impl Shared {
    fn left(&self) -> Next {
        self.asked_to_leave.fetch_add(1, Relaxed);
        Next::Leave
    }

    fn unanswered(&self, error: &hyper::Error, fresh: bool) {
        let cause = error
            .source()
            .and_then(|cause| cause.downcast_ref::<io::Error>());
        if fresh && cause.is_some_and(|cause| cause.kind() == io::ErrorKind::ConnectionReset) {
            self.never_accepted.fetch_add(1, Relaxed);
            return;
        }
        self.failed(format!("no answer: {error:?}"));
    }

    fn failed(&self, what: String) {
        self.failures.lock().unwrap().push(what);
    }
}

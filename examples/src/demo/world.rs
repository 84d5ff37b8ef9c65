//! Four upstreams with an embedded certificate authority.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rand::RngExt;
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::ServiceExt;
use tower_mtls::{accept::Acceptor, dev::Authority};

use super::{
    script::{Event, Mood, UPSTREAMS},
    write_file,
};
use crate::{BoxError, listen::bind, proxy::Proxy};

/// The trust domain of everyone in the demo.
pub(super) const TRUST_DOMAIN: &str = "demo.example";

/// The upstreams and the files that the proxy reads.
#[derive(Debug)]
pub(super) struct World {
    directory: TempDir,
    upstreams: Vec<Upstream>,
}

/// One upstream: a server that can be made to suffer.
#[derive(Debug)]
struct Upstream {
    address: SocketAddr,
    mood: Arc<SharedMood>,
    acceptor: Acceptor,
    /// The server's tasks; none while it is dead.
    process: JoinSet<()>,
}

#[derive(Debug)]
struct SharedMood(AtomicU8);

impl World {
    /// Issues certificates and starts the upstreams.
    pub(super) async fn start() -> Result<Self, BoxError> {
        let authority = Authority::new(TRUST_DOMAIN.parse()?)?;
        let directory = tempfile::Builder::new().prefix("proxy-demo-").tempdir()?;
        let proxy = authority.svid(format!("spiffe://{TRUST_DOMAIN}/proxy"))?;
        write_file(directory.path(), "ca.pem", &authority.ca_pem())?;
        write_file(directory.path(), "proxy.pem", proxy.chain_pem())?;
        write_file(directory.path(), "proxy.key", proxy.key_pem())?;
        let mut upstreams = Vec::with_capacity(UPSTREAMS);
        for number in 1..=UPSTREAMS {
            let identity = authority.svid(format!("spiffe://{TRUST_DOMAIN}/upstream-{number}"))?;
            let acceptor = Acceptor::builder(identity.credentials())
                .require_client(authority.trust_bundle())
                .alpn(["h2"])
                .build()?;
            upstreams.push(Upstream::start(acceptor)?);
        }
        Ok(Self {
            directory,
            upstreams,
        })
    }

    /// Where the certificates are; gone when the demo ends.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.upstreams.iter().map(|upstream| upstream.address)
    }

    /// How the upstream at `address` is made to behave.
    pub(super) fn mood(&self, address: SocketAddr) -> Option<Mood> {
        let upstream = self
            .upstreams
            .iter()
            .find(|upstream| upstream.address == address)?;
        Some(upstream.mood.get())
    }

    /// Waits until the proxy has connected to everyone.
    pub(super) async fn settle(&self, proxy: &Proxy) -> Result<(), BoxError> {
        let connected = async {
            while proxy
                .status()
                .iter()
                .any(|cluster| cluster.ready < cluster.endpoints.len())
            {
                sleep(Duration::from_millis(10)).await;
            }
        };
        Ok(timeout(Duration::from_secs(10), connected).await?)
    }

    /// Makes an event happen.
    pub(super) async fn apply(&mut self, event: Event) -> Result<(), BoxError> {
        let upstream = &mut self.upstreams[event.upstream];
        let before = upstream.mood.set(event.mood);
        match (before, event.mood) {
            (Mood::Dead, Mood::Dead) => {}
            (_, Mood::Dead) => upstream.process.shutdown().await,
            (Mood::Dead, _) => upstream.revive()?,
            _ => {}
        }
        Ok(())
    }
}

impl Upstream {
    fn start(acceptor: Acceptor) -> Result<Self, BoxError> {
        let socket = bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let mut upstream = Self {
            address: socket.local_addr()?,
            mood: Arc::new(SharedMood(AtomicU8::new(0))),
            acceptor,
            process: JoinSet::new(),
        };
        upstream.serve(socket);
        Ok(upstream)
    }

    fn revive(&mut self) -> Result<(), BoxError> {
        let socket = bind(self.address)?;
        self.serve(socket);
        Ok(())
    }

    fn serve(&mut self, socket: TcpListener) {
        let (acceptor, mood) = (self.acceptor.clone(), self.mood.clone());
        // Connections live in this task's own set: a killed process takes them along.
        self.process.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = socket.accept().await else {
                    return;
                };
                // As servers do: else an answer may wait for the acknowledgement of the last one.
                let _ = stream.set_nodelay(true);
                connections.spawn(connection(acceptor.clone(), stream, mood.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
    }
}

async fn connection(acceptor: Acceptor, stream: TcpStream, mood: Arc<SharedMood>) {
    let Ok(stream) = acceptor.oneshot(stream).await else {
        return;
    };
    let service = service_fn(move |_: Request<Incoming>| answer(mood.get()));
    let connection =
        http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
    // A connection that breaks is what this world is made for.
    let _ = connection.await;
}

async fn answer(mood: Mood) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::from("hello from upstream\n"));
    if mood == Mood::FailingHalf && rand::rng().random() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return Ok(response);
    }
    let usual = 2.0 - 3.0 * rand::rng().random::<f64>().max(1e-6).ln();
    let factor = if mood == Mood::Slow { 20.0 } else { 1.0 };
    sleep(Duration::from_secs_f64(usual * factor / 1e3)).await;
    Ok(response)
}

impl SharedMood {
    fn get(&self) -> Mood {
        MOODS[usize::from(self.0.load(Relaxed)) % MOODS.len()]
    }

    fn set(&self, mood: Mood) -> Mood {
        let index = MOODS.iter().position(|known| *known == mood).unwrap_or(0);
        let before = self.0.swap(u8::try_from(index).unwrap_or(0), Relaxed);
        MOODS[usize::from(before) % MOODS.len()]
    }
}

const MOODS: [Mood; 4] = [Mood::Well, Mood::Slow, Mood::FailingHalf, Mood::Dead];

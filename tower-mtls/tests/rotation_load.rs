//! Rotations while requests flow over real sockets: none fails, and memory stays flat.

#![cfg(all(feature = "dev", feature = "files"))]
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use support::folder::{Volume, authority, rotated, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tower::{Layer, ServiceExt, service_fn};
use tower_mtls::{
    BoxError, Expected, MtlsLayer, Source, Trust, TrustBundle,
    accept::Acceptor,
    dev::Authority,
    source::{Snapshot, Updater},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_rotations_fail_no_request_and_leave_no_memory_behind() {
    let authority = authority();
    let (server, client) = (Updater::new(), Updater::new());
    server.update(snapshot(&authority, "/api", &[])).unwrap();
    client.update(snapshot(&authority, "/web", &[])).unwrap();
    let load = Load::start(&server.source(), &client.source()).await;

    let mut after_warm_up = 0;
    for rotation in 1..=ROTATIONS {
        // Every second one changes the trust too, so that the peers of all open connections are verified again.
        let more = match rotation % 2 {
            0 => vec![],
            _ => vec![self::authority()],
        };
        server.update(snapshot(&authority, "/api", &more)).unwrap();
        client.update(snapshot(&authority, "/web", &more)).unwrap();
        if rotation % 2 == 0 {
            load.flows().await;
        }
        if rotation == WARM_UP {
            after_warm_up = resident();
        }
    }
    let grown = resident().saturating_sub(after_warm_up);
    let stats = load.layer.stats();
    let (fresh, pooled) = load.stop().await;
    println!(
        "{ROTATIONS} rotations, {fresh} + {pooled} requests, {} KiB more",
        grown / 1024
    );
    assert!(fresh >= ROTATIONS / 2 && pooled >= ROTATIONS / 2);
    assert_eq!(stats.failed_total(), 0);
    assert!(
        grown < 4 << 20,
        "{grown} bytes more after {} rotations",
        ROTATIONS - WARM_UP
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubernetes_swaps_fail_no_request() {
    let authority = authority();
    let volume = Volume::new();
    volume.swap(&authority, "/api");
    let source = volume.0.files().build().unwrap().load().await.unwrap();
    let load = Load::start(&source, &source).await;
    for swap in 1..=20 {
        volume.swap(&authority, "/api");
        rotated(&source).await;
        assert_eq!(source.stats().rotations(), swap + 1);
        load.flows().await;
    }
    let (fresh, pooled) = load.stop().await;
    assert!(fresh >= 20 && pooled >= 20);
    assert_eq!(source.stats().failed_total(), 0);
}

/// Clients that make a connection for each request, and clients that keep theirs.
struct Load {
    layer: MtlsLayer,
    fresh: Arc<AtomicU64>,
    pooled: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Result<(), BoxError>>>,
    server: JoinHandle<()>,
}

impl Load {
    async fn start(server: &Source, client: &Source) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = Acceptor::rotating(server).build().unwrap();
        let layer = MtlsLayer::rotating(client)
            .expect(Expected::TrustDomain)
            .build()
            .unwrap();
        let (fresh, pooled) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let stop = Arc::<AtomicBool>::default();
        let mut clients = Vec::new();
        for _ in 0..2 {
            let (layer, stop) = (layer.clone(), stop.clone());
            clients.push(tokio::spawn(ask(
                layer,
                address,
                u64::MAX,
                pooled.clone(),
                stop,
            )));
        }
        for _ in 0..2 {
            let (layer, stop) = (layer.clone(), stop.clone());
            clients.push(tokio::spawn(ask(layer, address, 1, fresh.clone(), stop)));
        }
        Self {
            layer,
            fresh,
            pooled,
            stop,
            clients,
            server: tokio::spawn(serve(listener, acceptor)),
        }
    }

    /// Waits until requests of both kinds have been answered.
    async fn flows(&self) {
        let counters = [&self.fresh, &self.pooled];
        let before = counters.map(|counter| counter.load(SeqCst));
        let failed = || self.clients.iter().any(JoinHandle::is_finished);
        let flows = || counters.map(|counter| counter.load(SeqCst));
        until(|| {
            failed()
                || flows()
                    .iter()
                    .zip(before)
                    .all(|(now, before)| *now > before)
        })
        .await;
        assert!(!failed(), "a request has failed");
    }

    async fn stop(self) -> (u64, u64) {
        self.stop.store(true, SeqCst);
        for client in self.clients {
            client.await.unwrap().unwrap();
        }
        self.server.abort();
        (self.fresh.load(SeqCst), self.pooled.load(SeqCst))
    }
}

/// Sends requests, each connection some of them.
async fn ask(
    layer: MtlsLayer,
    address: SocketAddr,
    each: u64,
    count: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> Result<(), BoxError> {
    let connector = layer.layer(service_fn(TcpStream::connect));
    while !stop.load(SeqCst) {
        let mut stream = connector.clone().oneshot(address).await?;
        let mut left = each;
        while left > 0 && !stop.load(SeqCst) {
            stream.write_all(b"request!").await?;
            stream.flush().await?;
            let mut answer = [0; 8];
            stream.read_exact(&mut answer).await?;
            count.fetch_add(1, SeqCst);
            left -= 1;
            // Whoever keeps its connection leaves the processor to those who do not.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stream.shutdown().await?;
    }
    Ok(())
}

async fn serve(listener: TcpListener, acceptor: Acceptor) {
    loop {
        let (io, _) = listener.accept().await.unwrap();
        let handshake = acceptor.clone().oneshot(io);
        tokio::spawn(async move {
            let mut stream = handshake.await?;
            let mut request = [0; 8];
            while stream.read_exact(&mut request).await.is_ok() {
                stream.write_all(&request).await?;
                stream.flush().await?;
            }
            Ok::<_, BoxError>(())
        });
    }
}

fn snapshot(authority: &Authority, path: &str, more: &[Authority]) -> Snapshot {
    let roots = more.iter().map(Authority::ca_pem).collect::<String>() + &authority.ca_pem();
    let trust = TrustBundle::from_pem(roots.as_bytes()).unwrap();
    let trust = Trust::from(trust.with_trust_domain("example.org".parse().unwrap()));
    Snapshot::new(authority.svid(path).unwrap().credentials(), trust)
}

/// The memory that this process has, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib = line.split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

const ROTATIONS: u64 = 1_000;
const WARM_UP: u64 = 200;

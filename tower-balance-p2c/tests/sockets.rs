//! Two of the simulated scenarios over sockets and in real time: the numbers are to hold outside of
//! virtual time too, so they are taken where a busy machine does not change them.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::stream;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tower::ServiceExt as _;
use tower_balance_p2c::{Balance, BalanceLayer, Change};
use tower_service::Service;

const PER_SECOND: f64 = 200.0;

/// Answers each connection with one byte.
struct Server {
    address: SocketAddr,
    byte: Arc<AtomicUsize>,
    millis: Arc<AtomicU64>,
    served: Arc<AtomicUsize>,
}

const WELL: usize = b'+' as usize;
const BADLY: usize = b'-' as usize;

impl Server {
    async fn start(millis: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            byte: Arc::new(AtomicUsize::new(WELL)),
            millis: Arc::new(AtomicU64::new(millis)),
            served: Arc::default(),
        };
        let (byte, millis) = (Arc::clone(&server.byte), Arc::clone(&server.millis));
        let served = Arc::clone(&server.served);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                served.fetch_add(1, Relaxed);
                let (byte, millis) = (byte.load(Relaxed) as u8, millis.load(Relaxed));
                tokio::spawn(answer(stream, byte, Duration::from_millis(millis)));
            }
        });
        server
    }
}

async fn answer(mut stream: TcpStream, byte: u8, latency: Duration) -> io::Result<()> {
    stream.read_u8().await?;
    sleep(latency).await;
    stream.write_all(&[byte]).await
}

/// A connection for each request.
#[derive(Clone)]
struct Client(SocketAddr);

impl Service<()> for Client {
    type Response = ();
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        let address = self.0;
        Box::pin(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(b"?").await?;
            match usize::from(stream.read_u8().await?) {
                WELL => Ok(()),
                _ => Err(io::Error::other("it failed")),
            }
        })
    }
}

struct Run {
    servers: Vec<Server>,
    balance: Balance<usize, Client, ()>,
    ends: Arc<Mutex<Vec<End>>>,
    under_way: JoinSet<()>,
    random: StdRng,
}

struct End {
    latency: Duration,
    failed: bool,
}

impl Run {
    async fn new(millis: [u64; 4]) -> Self {
        let mut servers = Vec::new();
        for millis in millis {
            servers.push(Server::start(millis).await);
        }
        let addresses = servers.iter().map(|server| server.address).enumerate();
        let inserts = addresses.map(|(key, address)| Change::Insert(key, Client(address)));
        let inserts: Vec<_> = inserts.map(Ok::<_, io::Error>).collect();
        let layer = BalanceLayer::builder().seed(1).build().unwrap();
        let (balance, driver) = layer.pair(stream::iter(inserts));
        tokio::spawn(driver);
        Self {
            servers,
            balance,
            ends: Arc::default(),
            under_way: JoinSet::new(),
            random: StdRng::seed_from_u64(1),
        }
    }

    /// Sends at random times, whatever becomes of the requests.
    async fn send_for(&mut self, time: Duration) {
        let begun = Instant::now();
        let mut next = Duration::ZERO;
        while next < time {
            sleep_until(begun + next).await;
            let (balance, ends) = (self.balance.clone(), Arc::clone(&self.ends));
            self.under_way.spawn(async move {
                let sent = Instant::now();
                let failed = balance.oneshot(()).await.is_err();
                let latency = Instant::now() - sent;
                ends.lock().unwrap().push(End { latency, failed });
            });
            let pause = -(1.0 - self.random.random::<f64>()).ln() / PER_SECOND;
            next += Duration::from_secs_f64(pause);
        }
    }

    async fn finish(&mut self) -> Vec<End> {
        while self.under_way.join_next().await.is_some() {}
        std::mem::take(&mut self.ends.lock().unwrap())
    }

    fn served(&self) -> Vec<usize> {
        let servers = self.servers.iter();
        servers.map(|server| server.served.load(Relaxed)).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_four_that_fails_at_once_is_hardly_noticed_and_comes_back() {
    let mut run = Run::new([40; 4]).await;
    run.send_for(Duration::from_millis(1003)).await;
    run.servers[0].byte.store(BADLY, Relaxed);
    run.servers[0].millis.store(0, Relaxed);
    run.send_for(Duration::from_millis(2003)).await;
    run.servers[0].byte.store(WELL, Relaxed);
    run.servers[0].millis.store(40, Relaxed);
    // It was ejected twice, the second time for up to two seconds.
    run.send_for(Duration::from_millis(3203)).await;
    let before = run.served();
    run.send_for(Duration::from_millis(1803)).await;
    let ends = run.finish().await;
    let after = run.served();

    let failed = ends.iter().filter(|end| end.failed).count();
    assert!(failed >= 3, "the failures were not seen");
    assert!(failed * 100 <= ends.len(), "{failed} of {}", ends.len());
    let shares: Vec<_> = after.iter().zip(before).map(|(a, b)| a - b).collect();
    let all: usize = shares.iter().sum();
    assert!(shares[0] * 8 >= all, "{shares:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_four_that_is_twenty_times_slower_is_not_in_the_tail() {
    let slow = 500;
    let mut run = Run::new([25, 25, slow, 25]).await;
    run.send_for(Duration::from_millis(1003)).await;
    run.finish().await;
    let before = run.served()[2];
    run.send_for(Duration::from_millis(5003)).await;
    let mut ends = run.finish().await;

    assert!(ends.iter().all(|end| !end.failed));
    let by_slow = run.served()[2] - before;
    assert!(by_slow * 100 <= ends.len(), "{by_slow} of {}", ends.len());
    ends.sort_by_key(|end| end.latency);
    let p99 = ends[ends.len() * 99 / 100].latency;
    assert!(p99 < Duration::from_millis(slow), "{p99:?}");
}

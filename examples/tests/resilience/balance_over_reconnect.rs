//! The contract between the balancer and the reconnecting layer: not ready means not picked.

mod faults;

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinSet, time::Instant};
use tower::{Service, ServiceBuilder, ServiceExt, load::Constant};
use tower_balance_p2c::{Balance, BalanceLayer, Change};
use tower_mtls::accept::Acceptor;
use tower_reconnect::{Reconnect, ReconnectLayer, Watch};
use tower_retry_budget::{Backoff, Budget, RetryLayer};

use crate::support::{BoxError, eventually, port::ReservedPort, upstream::Upstream};

type Get = Request<Empty<Bytes>>;
type Answer = Response<Incoming>;
type Endpoints = Balance<SocketAddr, Reconnect<Connection>, Get>;

#[tokio::test]
async fn one_of_two_endpoints_dead_from_the_start_costs_no_request_and_few_dials() {
    let alive = Server::start().await;
    let dead = ReservedPort::new();
    let makers = [Maker::to(alive.port.address), Maker::to(dead.address)];
    let (mut balance, _) = balance(&makers);
    let toll = toll(&mut balance, &makers[1]).await;
    assert!(toll.is_bearable(), "{toll:?}");
    assert!(
        toll.dials >= 3,
        "the balancer does not wait for it: {toll:?}"
    );
    assert_eq!(makers[0].dials(), 1);
}

/// The same scenario with tower's own two layers: this is what the test above can see.
///
/// Where the system refuses a connection within the poll that asks for it, requests fail; where it
/// refuses later, tower's balancer asks twice and is spared, and each look at the dead one is a dial.
#[tokio::test]
async fn towers_own_balance_and_reconnect_do_not_bear_the_same_scenario() {
    let alive = Server::start().await;
    let dead = ReservedPort::new();
    let makers = [Maker::to(alive.port.address), Maker::to(dead.address)];
    let endpoints = makers.clone().map(|maker| {
        let address = maker.address;
        Constant::new(tower::reconnect::Reconnect::new(maker, address), 1)
    });
    let discover = tower::discover::ServiceList::new::<Get>(endpoints);
    let mut balance = tower::balance::p2c::Balance::new(discover);
    let toll = toll(&mut balance, &makers[1]).await;
    assert!(!toll.is_bearable(), "{toll:?}");
}

#[tokio::test]
async fn an_endpoint_that_dies_under_load_fails_at_most_what_it_was_serving_and_comes_back() {
    let servers = [Server::start().await, Server::start().await];
    let makers = servers
        .each_ref()
        .map(|server| Maker::to(server.port.address));
    let (balance, watches) = balance(&makers);
    let load = Load::start(&balance);
    eventually("both serve", || {
        servers.iter().all(|server| server.served() > 20)
    })
    .await;

    let [staying, mut dying] = servers;
    dying.kill().await;
    let noticed = until_down(&watches[1]).await;
    let dials = makers[1].dials();
    let served = staying.served();
    eventually("the other goes on", || staying.served() > served + 100).await;
    tokio::time::sleep(BACKOFF_MAX * 3).await;
    assert!(
        makers[1].dials() - dials <= allowed_dials(since(noticed)),
        "{} dials",
        makers[1].dials() - dials
    );

    dying.restart().await;
    let restarted = Instant::now();
    eventually("traffic returns", || dying.served() > 0).await;
    let away = since(restarted);
    assert!(away <= BACKOFF_MAX + SLACK, "it came back after {away:?}");

    let sent = load.finish().await;
    let late = sent
        .iter()
        .filter(|sent| !sent.success && sent.started > noticed)
        .count();
    assert_eq!(
        late, 0,
        "requests failed that began after the death was known"
    );
    let failed = sent.iter().filter(|sent| !sent.success).count();
    assert!(failed <= 2 * WORKERS, "{failed} of {} failed", sent.len());
}

#[tokio::test]
async fn with_retries_an_endpoint_that_dies_and_comes_back_costs_no_request() {
    let servers = [Server::start().await, Server::start().await];
    let makers = servers
        .each_ref()
        .map(|server| Maker::to(server.port.address));
    let (balance, watches) = balance(&makers);
    let retry = RetryLayer::builder(Budget::new())
        .attempts(4)
        .backoff(Backoff::new(Duration::from_millis(5), Duration::from_millis(50)).unwrap())
        .build()
        .unwrap();
    let load = Load::start(&ServiceBuilder::new().layer(retry.clone()).service(balance));
    eventually("both serve", || {
        servers.iter().all(|server| server.served() > 20)
    })
    .await;

    let [staying, mut dying] = servers;
    for _ in 0..3 {
        dying.kill().await;
        until_down(&watches[1]).await;
        let served = staying.served();
        eventually("the other goes on", || staying.served() > served + 50).await;
        dying.restart().await;
        eventually("traffic returns", || dying.served() > 10).await;
    }

    let sent = load.finish().await;
    let failed = sent.iter().filter(|sent| !sent.success).count();
    assert_eq!(failed, 0, "of {}", sent.len());
    assert!(
        retry.stats().recovered > 0,
        "no request met the dying endpoint: the test saw nothing"
    );
}

/// One endpoint a maker, all under one balancer.
fn balance(makers: &[Maker]) -> (Endpoints, Vec<Watch>) {
    let endpoints: Vec<_> = makers.iter().map(endpoint).collect();
    let watches = endpoints
        .iter()
        .map(|(_, endpoint)| endpoint.watch())
        .collect();
    let inserts = endpoints
        .into_iter()
        .map(|(key, endpoint)| Ok::<_, Infallible>(Change::Insert(key, endpoint)));
    let balance = ServiceBuilder::new()
        .layer(BalanceLayer::new())
        .service(stream::iter(inserts));
    (balance, watches)
}

fn endpoint(maker: &Maker) -> (SocketAddr, Reconnect<Connection>) {
    let reconnect = ReconnectLayer::builder(maker.address)
        .backoff(BACKOFF_BASE, BACKOFF_MAX)
        .build()
        .unwrap();
    (
        maker.address,
        ServiceBuilder::new()
            .layer(reconnect)
            .service(maker.clone()),
    )
}

/// What a dead endpoint costs.
#[derive(Debug)]
struct Toll {
    failures: usize,
    dials: usize,
    allowed_dials: usize,
}

impl Toll {
    fn is_bearable(&self) -> bool {
        self.failures == 0 && self.dials <= self.allowed_dials
    }
}

/// Sends `REQUESTS`, one after the other over half a second or more.
async fn toll<S>(service: &mut S, dead: &Maker) -> Toll
where
    S: Service<Get, Response = Answer, Error = BoxError>,
{
    let started = Instant::now();
    let mut failures = 0;
    for _ in 0..REQUESTS {
        let sent = service.ready().await.unwrap().call(get());
        failures += usize::from(sent.await.is_err());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Toll {
        failures,
        dials: dead.dials(),
        allowed_dials: allowed_dials(since(started)),
    }
}

/// The most dials that the backoff lets through in `elapsed`, each delay at its shortest.
fn allowed_dials(elapsed: Duration) -> usize {
    let mut delay = BACKOFF_BASE;
    let mut spent = Duration::ZERO;
    let mut dials = 1;
    while spent <= elapsed {
        // Half of the step, less an eighth.
        spent += delay * 7 / 16;
        delay = (delay * 2).min(BACKOFF_MAX);
        dials += 1;
    }
    dials
}

async fn until_down(watch: &Watch) -> Instant {
    eventually("the death is noticed", || !watch.state().is_connected()).await;
    Instant::now()
}

fn get() -> Get {
    Request::get("http://endpoint.test/")
        .body(Empty::new())
        .unwrap()
}

fn since(start: Instant) -> Duration {
    Instant::now().saturating_duration_since(start)
}

/// Requests from several tasks, until it is told to stop.
struct Load {
    stop: Arc<AtomicUsize>,
    sent: Arc<Mutex<Vec<Sent>>>,
    workers: JoinSet<()>,
}

#[derive(Clone, Copy)]
struct Sent {
    started: Instant,
    success: bool,
}

impl Load {
    fn start<S>(service: &S) -> Self
    where
        S: Service<Get, Response = Answer, Error = BoxError, Future: Send> + Clone + Send + 'static,
    {
        let stop = Arc::<AtomicUsize>::default();
        let sent = Arc::<Mutex<Vec<Sent>>>::default();
        let workers = (0..WORKERS).map(|_| {
            let (stop, sent, service) = (stop.clone(), sent.clone(), service.clone());
            async move {
                while stop.load(Relaxed) == 0 {
                    let started = Instant::now();
                    let success = service.clone().oneshot(get()).await.is_ok();
                    sent.lock().unwrap().push(Sent { started, success });
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        });
        Self {
            workers: workers.collect(),
            stop,
            sent,
        }
    }

    async fn finish(mut self) -> Vec<Sent> {
        self.stop.store(1, Relaxed);
        while let Some(ended) = self.workers.join_next().await {
            ended.unwrap();
        }
        let sent = self.sent.lock().unwrap();
        sent.clone()
    }
}

/// A server that can be killed and started again at the same address.
struct Server {
    port: ReservedPort,
    running: Option<Upstream>,
    tls: Option<Acceptor>,
    served: Arc<AtomicUsize>,
}

impl Server {
    async fn start() -> Self {
        Self::start_over(None).await
    }

    async fn start_over(tls: Option<Acceptor>) -> Self {
        let mut server = Self {
            port: ReservedPort::new(),
            running: None,
            tls,
            served: Arc::default(),
        };
        server.restart().await;
        server
    }

    async fn kill(&mut self) {
        self.running.take().unwrap().kill().await;
    }

    async fn restart(&mut self) {
        self.served.store(0, Relaxed);
        let served = self.served.clone();
        let handler = move |_| {
            served.fetch_add(1, Relaxed);
            async {
                tokio::time::sleep(Duration::from_millis(2)).await;
                Response::new(Empty::<Bytes>::new())
            }
        };
        self.running = Some(Upstream::start_at(self.port.address, self.tls.clone(), handler).await);
    }

    /// Requests since its last start.
    fn served(&self) -> usize {
        self.served.load(Relaxed)
    }
}

/// Dials HTTP/2 connections, and counts them.
#[derive(Clone)]
struct Maker {
    address: SocketAddr,
    dials: Arc<AtomicUsize>,
}

impl Maker {
    fn to(address: SocketAddr) -> Self {
        Self {
            address,
            dials: Arc::default(),
        }
    }

    fn dials(&self) -> usize {
        self.dials.load(Relaxed)
    }
}

impl Service<SocketAddr> for Maker {
    type Response = Connection;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Connection, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: SocketAddr) -> Self::Future {
        self.dials.fetch_add(1, Relaxed);
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            Ok(Connection(sender))
        })
    }
}

#[derive(Clone)]
struct Connection(http2::SendRequest<Empty<Bytes>>);

impl Service<Get> for Connection {
    type Response = Answer;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Get) -> Self::Future {
        let sending = self.0.send_request(request);
        Box::pin(async move { Ok(sending.await?) })
    }
}

const REQUESTS: usize = 300;
const WORKERS: usize = 8;
const BACKOFF_BASE: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_millis(400);

/// What a busy machine may add to a delay.
const SLACK: Duration = Duration::from_secs(1);

//! What may be wrong with an endpoint's network, and costs no request that may wait or go elsewhere.

use std::sync::atomic::AtomicBool;

use hyper_util::rt::TokioTimer;
use socket2::SockRef;
use tokio::{io::copy, sync::watch};
use tower::service_fn;
use tower_layer::Layer;
use tower_mtls::{Expected, MtlsLayer, accept::Acceptor, dev::Authority};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_resets_every_connection_costs_no_request_and_few_dials() {
    Scenario::start(None).await.run(Fault::Reset).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_refuses_costs_no_request_and_few_dials() {
    Scenario::start(None).await.run(Fault::Refuse).await;
}

/// The peer's system takes the bytes, and nobody reads them: only a ping or a timeout finds out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_endpoint_costs_no_request_and_few_dials() {
    Scenario::start(None).await.run(Fault::Freeze).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_that_takes_longer_than_the_connect_timeout_costs_no_request_and_few_dials() {
    let tls = Tls::new();
    Scenario::start(Some(tls)).await.run(Fault::Slow).await;
}

/// Each time it is well it takes requests, and each time they are lost: it is dialled ever more
/// rarely although every other dial succeeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flapping_endpoint_costs_no_request_and_few_dials() {
    let scenario = Scenario::start(None).await;
    let (load, dials) = (scenario.load(), scenario.front.maker.dials());
    let started = Instant::now();
    for fault in [Fault::Reset, Fault::None].into_iter().cycle().take(20) {
        scenario.front.set(fault);
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let dials = scenario.front.maker.dials() - dials;
    let allowed = allowed_dials(since(started));
    assert!((2..=allowed).contains(&dials), "{dials} dials of {allowed}");
    scenario.comes_back().await;
    assert_all_answered(load).await;
}

/// The name is resolved at each dial, so that what was lost is found again where it is now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_whose_address_changes_is_dialled_at_the_new_one() {
    let mut old = Server::start().await;
    let new = Server::start().await;
    let steady = Server::start().await;
    let address = Arc::new(Mutex::new(old.port.address));
    let maker = FaultyMaker::resolving(address.clone());
    let service = retrying(&[maker, FaultyMaker::to(steady.port.address)]);
    let load = Load::start(&service);
    eventually("both serve", || old.served() > 20 && steady.served() > 20).await;
    *address.lock().unwrap() = new.port.address;
    old.kill().await;
    eventually("the new one serves", || new.served() > 20).await;
    assert_all_answered(load).await;
}

/// A steady endpoint, and one behind a front that can go wrong.
struct Scenario {
    steady: Server,
    faulty: Server,
    front: Front,
    service: Retrying,
}

impl Scenario {
    async fn start(tls: Option<Tls>) -> Self {
        let (steady, faulty) = (
            Server::start().await,
            Server::start_over(tls.as_ref().map(|tls| tls.server.clone())).await,
        );
        let front = Front::to(faulty.port.address, tls).await;
        let makers = [FaultyMaker::to(steady.port.address), front.maker.clone()];
        let service = retrying(&makers);
        Self {
            steady,
            faulty,
            front,
            service,
        }
    }

    /// Goes wrong for a while under load, and comes back.
    async fn run(self, fault: Fault) {
        let load = self.load();
        eventually("both serve", || {
            self.steady.served() > 20 && self.faulty.served() > 20
        })
        .await;
        let dials = self.front.maker.dials();
        let started = Instant::now();
        self.front.set(fault);
        let served = self.steady.served();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(self.steady.served() > served + 100, "the other goes on");
        let dials = self.front.maker.dials() - dials;
        let allowed = allowed_dials(since(started));
        // One at least, or the fault was not noticed.
        assert!((1..=allowed).contains(&dials), "{dials} dials of {allowed}");
        self.comes_back().await;
        assert_all_answered(load).await;
    }

    fn load(&self) -> Load {
        Load::start(&self.service)
    }

    async fn comes_back(&self) {
        let served = self.faulty.served();
        self.front.set(Fault::None);
        eventually("traffic returns", || self.faulty.served() > served + 10).await;
    }
}

async fn assert_all_answered(load: Load) {
    let sent = load.finish().await;
    let failed = sent.iter().filter(|sent| !sent.success).count();
    assert_eq!(failed, 0, "of {}", sent.len());
}

type Retrying = tower::util::BoxCloneSyncService<Get, Answer, BoxError>;

/// Balances over the endpoints, and tries an attempt elsewhere that fails or takes too long.
fn retrying(makers: &[FaultyMaker]) -> Retrying {
    let inserts = makers.iter().enumerate().map(|(key, maker)| {
        let reconnect = ReconnectLayer::builder(())
            .connect_timeout(CONNECT_TIMEOUT)
            .backoff(BACKOFF_BASE, BACKOFF_MAX)
            .build()
            .unwrap();
        Ok::<_, Infallible>(Change::Insert(key, reconnect.layer(maker.clone())))
    });
    let inserts = inserts.collect::<Vec<_>>();
    // How long an endpoint is left alone that has failed again and again is not what is looked at.
    let ejection = tower_balance_p2c::Ejection::new().max(Duration::from_secs(1));
    let layer = BalanceLayer::builder().ejection(ejection).build().unwrap();
    let balance = layer.layer(stream::iter(inserts));
    let retry = RetryLayer::builder(Budget::new())
        .attempts(4)
        .backoff(Backoff::new(Duration::from_millis(5), Duration::from_millis(50)).unwrap())
        .per_try(Duration::from_millis(500))
        .build()
        .unwrap();
    Retrying::new(retry.layer(balance))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Accepted connections are reset at once, and old ones too.
    Reset,
    /// Nobody listens, and old connections are reset.
    Refuse,
    /// Bytes are no longer read.
    Freeze,
    /// Old connections are reset, and new ones answer late.
    Slow,
}

/// Passes bytes on to a server, as well as it is told to.
struct Front {
    fault: watch::Sender<Fault>,
    maker: FaultyMaker,
    _tasks: JoinSet<()>,
}

impl Front {
    async fn to(target: SocketAddr, tls: Option<Tls>) -> Self {
        let port = ReservedPort::new();
        let (fault, told) = watch::channel(Fault::None);
        let mut tasks = JoinSet::new();
        let maker = FaultyMaker::to(port.address).over(tls);
        let listening = Arc::new(AtomicBool::new(false));
        let ready = listening.clone();
        tasks.spawn(async move { accept(&port, target, told, &listening).await });
        eventually("the front listens", || ready.load(Relaxed)).await;
        Self {
            fault,
            maker,
            _tasks: tasks,
        }
    }

    fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

async fn accept(
    port: &ReservedPort,
    target: SocketAddr,
    mut told: watch::Receiver<Fault>,
    listening: &AtomicBool,
) {
    let mut streams = JoinSet::new();
    loop {
        told.wait_for(|fault| *fault != Fault::Refuse)
            .await
            .unwrap();
        let listener = examples::listen::bind(port.address).unwrap();
        listening.store(true, Relaxed);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = told.wait_for(|fault| *fault == Fault::Refuse) => break,
            };
            let (stream, _) = accepted.unwrap();
            streams.spawn(pass(stream, target, told.clone()));
        }
    }
}

async fn pass(mut client: TcpStream, target: SocketAddr, mut told: watch::Receiver<Fault>) {
    // Whatever ends it ends it by a reset.
    SockRef::from(&client)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    let fault = *told.borrow_and_update();
    match fault {
        Fault::None => {}
        Fault::Reset | Fault::Refuse => return,
        Fault::Freeze | Fault::Slow => {
            let other = told.wait_for(|now| *now != fault);
            let _ = tokio::time::timeout(LATE, other).await;
            if fault == Fault::Freeze {
                return;
            }
        }
    }
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    let (mut client_reads, mut client_writes) = client.split();
    let (mut server_reads, mut server_writes) = server.split();
    tokio::select! {
        _ = copy(&mut client_reads, &mut server_writes) => {}
        _ = copy(&mut server_reads, &mut client_writes) => {}
        _ = told.changed() => {}
    }
    while *told.borrow_and_update() == Fault::Freeze {
        if told.changed().await.is_err() {
            return;
        }
    }
}

/// Dials HTTP/2 connections, over TLS where there is any, that ping the other end.
#[derive(Clone)]
struct FaultyMaker {
    address: Arc<Mutex<SocketAddr>>,
    tls: Option<Tls>,
    dials: Arc<AtomicUsize>,
}

impl FaultyMaker {
    fn to(address: SocketAddr) -> Self {
        Self::resolving(Arc::new(Mutex::new(address)))
    }

    /// To wherever this says at the moment of each dial.
    fn resolving(address: Arc<Mutex<SocketAddr>>) -> Self {
        Self {
            address,
            tls: None,
            dials: Arc::default(),
        }
    }

    fn over(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    fn dials(&self) -> usize {
        self.dials.load(Relaxed)
    }

    async fn dial(self) -> Result<Connection, BoxError> {
        let address = *self.address.lock().unwrap();
        let tcp = service_fn(TcpStream::connect::<SocketAddr>);
        match self.tls {
            None => handshake(TokioIo::new(tcp.oneshot(address).await?)).await,
            Some(tls) => {
                let stream = tls.client.layer(tcp).oneshot(address).await?;
                handshake(TokioIo::new(stream)).await
            }
        }
    }
}

async fn handshake<I>(io: I) -> Result<Connection, BoxError>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_millis(100))
        .keep_alive_timeout(Duration::from_millis(200))
        .keep_alive_while_idle(true)
        .handshake(io)
        .await?;
    tokio::spawn(connection);
    Ok(Connection(sender))
}

impl Service<()> for FaultyMaker {
    type Response = Connection;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Connection, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        self.dials.fetch_add(1, Relaxed);
        Box::pin(self.clone().dial())
    }
}

/// Both ends of TLS.
#[derive(Clone)]
struct Tls {
    client: MtlsLayer,
    server: Acceptor,
}

impl Tls {
    fn new() -> Self {
        let authority = Authority::new("example.org".parse().unwrap()).unwrap();
        let issued = authority.dns(&["localhost"]).unwrap();
        let client = MtlsLayer::builder(authority.plain_trust_bundle())
            .expect(Expected::ServerName("localhost".parse().unwrap()))
            .alpn(["h2"]);
        let server = Acceptor::builder(issued.credentials()).no_client_auth();
        Self {
            client: client.build().unwrap(),
            server: server.alpn(["h2"]).build().unwrap(),
        }
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);

/// Longer than a connect timeout.
const LATE: Duration = Duration::from_secs(1);

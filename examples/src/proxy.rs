//! The whole proxy: started from a configuration, drained on demand.

use std::{
    error::Error,
    fmt, io,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicUsize},
};

use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

use crate::{
    BoxError,
    admin::{self, Admin},
    authorize::{Gate, authorize},
    cluster::{Cluster, ClusterStatus},
    config::{Config, ListenerConfig, ListenerTls, ShutdownConfig},
    credentials::{Sources, acceptor},
    drain::{Drain, DrainRequest},
    listen::{Accepting, Tls, bind},
    route::Routes,
    server::Door,
    telemetry::{ListenerMetrics, ListenerScrape, Scrape},
};

/// A proxy that runs. Dropping it ends it at once; [`Proxy::drain`] ends it well.
#[derive(Debug)]
pub struct Proxy {
    listeners: Vec<(String, SocketAddr)>,
    admin: SocketAddr,
    clusters: Arc<[Arc<Cluster>]>,
    shutdown: ShutdownConfig,
    drain: Drain,
    drain_request: DrainRequest,
    tasks: JoinSet<()>,
}

/// Why a proxy could not start: which part, why, and what to do.
#[derive(Debug)]
pub struct StartError {
    part: String,
    source: BoxError,
}

impl Proxy {
    /// Binds every address, reads every key, and begins to serve.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// The first part that could not start; nothing is left running.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        // Addresses and keys first: where they fail, no endpoint has been dialled.
        let mut sources = Sources::default();
        let bound = config.listeners.iter();
        let bound = bound.map(|listener| Bound::new(listener, &mut sources));
        let bound = bound.collect::<Result<Vec<_>, _>>()?;
        let socket = bind_for("admin", config.admin)?;
        let admin = local_address("admin", &socket)?;
        let clusters: Result<Arc<[_]>, _> = config
            .clusters
            .iter()
            .map(|cluster| match Cluster::start(cluster, &mut sources) {
                Ok(started) => Ok(Arc::new(started)),
                Err(source) => Err(StartError::of(
                    format!("cluster `{}`", cluster.name),
                    source,
                )),
            })
            .collect();
        let clusters = clusters?;
        let mut starting = Starting {
            config,
            clusters: &clusters,
            drain: Drain::new(),
            in_flight: Arc::default(),
            slots: Arc::new(Semaphore::new(
                config.limits.connections.min(Semaphore::MAX_PERMITS),
            )),
            tasks: JoinSet::new(),
        };
        let mut listeners = Vec::new();
        let mut scrapes = Vec::new();
        for listener in bound {
            listeners.push((listener.config.name.clone(), listener.address));
            scrapes.push(starting.listener(listener)?);
        }
        let Starting {
            drain, mut tasks, ..
        } = starting;
        tracing::info!(listener = "admin", address = %admin, "listening");
        if !config.admin.ip().is_loopback() {
            tracing::warn!(address = %admin, "the admin listener is not on loopback: whoever reaches it can drain this process");
        }
        let drain_request = DrainRequest::default();
        let shown = Admin {
            scrape: Scrape::new(scrapes, clusters.clone(), sources.clone()),
            sources,
            clusters: clusters.clone(),
            config: config
                .to_json()
                .map_err(|error| StartError::of("admin", error))?,
            phase: drain.observe(),
            drain: drain_request.clone(),
        };
        tasks.spawn(admin::run(socket, shown));
        Ok(Self {
            listeners,
            admin,
            clusters,
            shutdown: config.shutdown,
            drain,
            drain_request,
            tasks,
        })
    }

    /// Waits until `POST /drain` asks for [`drain`](Self::drain).
    pub async fn drain_asked(&self) {
        self.drain_request.asked().await;
    }

    /// Where a listener listens: useful where the configuration said port 0.
    pub fn address(&self, listener: &str) -> Option<SocketAddr> {
        self.listeners
            .iter()
            .find(|(name, _)| name == listener)
            .map(|(_, address)| *address)
    }

    /// Where the admin listener listens.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// What each cluster is doing.
    pub fn status(&self) -> Vec<ClusterStatus> {
        self.clusters
            .iter()
            .map(|cluster| cluster.status())
            .collect()
    }

    /// Stops taking connections, lets what is in flight end, and returns; true if all ended in time.
    pub async fn drain(self) -> bool {
        let Self {
            shutdown,
            drain,
            tasks,
            ..
        } = self;
        tracing::info!(delay = ?shutdown.delay, grace = ?shutdown.grace, "draining");
        let whole = drain.run(shutdown.delay, shutdown.grace).await;
        drop(tasks);
        whole
    }
}

/// What the listeners of a starting proxy share.
struct Starting<'a> {
    config: &'a Config,
    clusters: &'a [Arc<Cluster>],
    drain: Drain,
    in_flight: Arc<AtomicUsize>,
    slots: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

/// A listener that has its address and its keys, and does not accept yet.
struct Bound<'a> {
    config: &'a ListenerConfig,
    part: String,
    tls: Option<Tls>,
    socket: TcpListener,
    address: SocketAddr,
}

impl<'a> Bound<'a> {
    fn new(config: &'a ListenerConfig, sources: &mut Sources) -> Result<Self, StartError> {
        let part = format!("listener `{}`", config.name);
        let tls = config.tls.as_ref();
        let tls = tls
            .map(|tls| tls_of(&config.name, tls, sources))
            .transpose();
        let tls = tls.map_err(|source| StartError::of(&part, source))?;
        let socket = bind_for(&part, config.listen)?;
        let address = local_address(&part, &socket)?;
        Ok(Self {
            config,
            part,
            tls,
            socket,
            address,
        })
    }
}

impl Starting<'_> {
    fn listener(&mut self, bound: Bound<'_>) -> Result<ListenerScrape, StartError> {
        let Bound {
            config,
            part,
            tls,
            socket,
            address,
        } = bound;
        let of_listener = self.config.routes.iter();
        let of_listener = of_listener.filter(|route| route.listener == config.name);
        let of_listener: Vec<_> = of_listener.collect();
        let routes = Routes::new(&of_listener, config.cluster.as_deref(), self.clusters)
            .map_err(|source| StartError::of(part, source))?;
        let clients = config.tls.as_ref().and_then(|tls| tls.clients.as_ref());
        let authorize = clients.map(authorize);
        let metrics = ListenerMetrics::new(&config.name, tls.is_none()).routes(routes.counts());
        let metrics = Arc::new(metrics);
        let door = Door::new(self.config.limits, self.in_flight.clone(), metrics.clone());
        let accepting = Accepting {
            socket,
            tls: tls.clone(),
            door: Arc::new(door),
            trust: self.config.trust.clone(),
            stack: Gate::new(routes, clients.zip(authorize.as_ref())),
            slots: self.slots.clone(),
            draining: self.drain.listen(),
        };
        self.tasks.spawn(accepting.run());
        tracing::info!(listener = config.name, %address, cluster = config.cluster, routes = of_listener.len(), tls = tls.is_some(), "listening");
        Ok(ListenerScrape {
            metrics,
            acceptor: tls.map(|tls| tls.acceptor),
            authorize,
        })
    }
}

fn tls_of(listener: &str, tls: &ListenerTls, sources: &mut Sources) -> Result<Tls, BoxError> {
    let source = sources.of(format!("listener {listener}"), tls.files())?;
    let forwards = tls.clients.as_ref().is_some_and(|clients| clients.forward);
    Ok(Tls {
        acceptor: acceptor(tls, &source)?,
        forwards_as: forwards.then_some(source),
    })
}

fn bind_for(part: &str, address: SocketAddr) -> Result<TcpListener, StartError> {
    bind(address).map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "another process listens there: end it or choose another port"
            }
            io::ErrorKind::AddrNotAvailable => "this machine has no such address",
            io::ErrorKind::PermissionDenied => "ports below 1024 need privileges",
            _ => "choose another address",
        };
        StartError::of(
            part,
            format!("cannot listen on {address} ({error}): {advice}"),
        )
    })
}

fn local_address(part: &str, socket: &TcpListener) -> Result<SocketAddr, StartError> {
    socket
        .local_addr()
        .map_err(|error| StartError::of(part, error))
}

impl StartError {
    fn of(part: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self {
            part: part.into(),
            source: source.into(),
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.part, self.source)
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_ref())
    }
}

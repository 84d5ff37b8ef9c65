//! One TOML file, read into types that cannot hold a bad value.
//!
//! [`Config::load`] reads, parses and checks; what it returns can be run. Every error names the
//! file, the line, the column and what to write instead. A key of the contract that this version
//! does not serve yet is an error too, never ignored.

mod cluster;
mod error;
mod identity;
mod limits;
mod listener;
mod listener_tls;
mod place;
mod route;
mod route_retry;
mod route_shown;
mod show;
mod show_tls;
mod tls;
mod trust;
mod value;
mod words;

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    num::NonZeroUsize,
    path::Path,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use self::{
    cluster::ClusterFile,
    error::{At, Problem},
    identity::IdentityFile,
    listener::ListenerFile,
    route::RouteFile,
};
pub use self::{
    cluster::{
        BackoffConfig, BalanceConfig, ClusterConfig, ClusterProtocol, EjectConfig, EndpointConfig,
        Expected, HedgeConfig, JitterConfig, PricesConfig, ReconnectConfig, RetryBackoffConfig,
        RetryConfig, ThrottleConfig, TimeoutConfig, UpstreamTls,
    },
    error::ConfigError,
    limits::Limits,
    listener::ListenerConfig,
    listener_tls::{ClientCertificate, Clients, ListenerTls},
    route::{Action, ForwardConfig, RouteConfig},
    tls::{CertificateFiles, CredentialFiles, CrlUnknown, TrustFiles},
    trust::{Nets, TrustConfig},
    value::{Size, Span},
};

/// Everything that `proxy run` needs to know.
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    /// Worker threads; one means a single-threaded runtime.
    pub threads: NonZeroUsize,
    /// How the process ends.
    pub shutdown: ShutdownConfig,
    /// Where metrics and health are served.
    #[serde(serialize_with = "show::listen")]
    pub admin: SocketAddr,
    /// Where clients come in; at least one.
    #[serde(rename = "listener")]
    pub listeners: Vec<ListenerConfig>,
    /// Which requests of a listener go where; the first that takes one has it.
    #[serde(rename = "route")]
    pub routes: Vec<RouteConfig>,
    /// Where requests go; at least one.
    #[serde(rename = "cluster")]
    pub clusters: Vec<ClusterConfig>,
    /// What one process will take on.
    pub limits: Limits,
    /// Who may tell us things.
    pub trust: TrustConfig,
}

/// How the process ends.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShutdownConfig {
    /// How long `/ready` answers 503 while connections are still accepted.
    #[serde(deserialize_with = "value::duration")]
    pub delay: Duration,
    /// When everything ends, counted from the end of `delay`.
    #[serde(deserialize_with = "value::positive_duration")]
    pub grace: Duration,
}

/// The file as written, before names are resolved.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, deserialize_with = "value::threads")]
    threads: Option<NonZeroUsize>,
    #[serde(default)]
    shutdown: ShutdownConfig,
    #[serde(default)]
    admin: AdminFile,
    identity: Option<IdentityFile>,
    #[serde(default, rename = "listener")]
    listeners: Vec<ListenerFile>,
    #[serde(default, rename = "cluster")]
    clusters: Vec<ClusterFile>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    trust: TrustConfig,
    #[serde(default, rename = "route")]
    routes: Vec<Span<RouteFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AdminFile {
    #[serde(deserialize_with = "value::address")]
    listen: SocketAddr,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// What is wrong, where, and what to write instead.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
        let mut config = Self::parse(&text, path)?;
        config.resolve_paths(path.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// Checks the text of a file; `path` is only named in errors.
    ///
    /// # Errors
    ///
    /// As for [`Config::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let file: File =
            toml::from_str(text).map_err(|error| ConfigError::syntax(path, text, &error))?;
        file.check()
            .map_err(|problem| ConfigError::located(path, text, problem))
    }

    /// The clusters and listeners that carry cleartext, by name, for the operator to see.
    pub fn cleartext(&self) -> impl Iterator<Item = String> {
        let listeners = self
            .listeners
            .iter()
            .filter(|listener| listener.tls.is_none());
        let clusters = self.clusters.iter().filter(|cluster| cluster.tls.is_none());
        listeners
            .map(|listener| format!("listener `{}`", listener.name))
            .chain(clusters.map(|cluster| format!("cluster `{}`", cluster.name)))
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Paths in the file are relative to it.
    fn resolve_paths(&mut self, base: &Path) {
        let listeners = self
            .listeners
            .iter_mut()
            .filter_map(|listener| listener.tls.as_mut());
        let clusters = self
            .clusters
            .iter_mut()
            .filter_map(|cluster| cluster.tls.as_mut());
        for path in listeners
            .flat_map(ListenerTls::paths)
            .chain(clusters.flat_map(UpstreamTls::paths))
        {
            *path = base.join(&*path);
        }
    }
}

impl File {
    fn check(self) -> Result<Config, Problem> {
        if self.listeners.is_empty() {
            return Err(Problem::whole(
                "no [[listener]]: write one with name, listen and cluster",
            ));
        }
        if self.clusters.is_empty() {
            return Err(Problem::whole(
                "no [[cluster]]: write one with name and endpoints",
            ));
        }
        unique("cluster", self.clusters.iter().map(|cluster| &cluster.name))?;
        unique(
            "listener",
            self.listeners.iter().map(|listener| &listener.name),
        )?;
        listener::check_addresses(&self.listeners, self.admin.listen)?;
        let names: HashSet<&str> = self
            .clusters
            .iter()
            .map(|cluster| cluster.name.get_ref().as_str())
            .collect();
        route::check_names(&self.routes)?;
        let mut listener_names = HashSet::new();
        for listener in &self.listeners {
            let is_its = |route: &Span<RouteFile>| {
                route.get_ref().listener.get_ref() == listener.name.get_ref()
            };
            listener.check_cluster(&names, self.routes.iter().any(is_its))?;
            listener_names.insert(listener.name.get_ref().as_str());
        }
        let identity = self.identity.map(IdentityFile::check).transpose()?;
        let identity = identity.as_ref();
        let clusters = check_all(self.clusters, |cluster| cluster.check(identity))?;
        let routes = route::check_routes(self.routes, &listener_names, &clusters)?;
        Ok(Config {
            threads: self.threads.unwrap_or_else(available_threads),
            shutdown: self.shutdown,
            admin: self.admin.listen,
            listeners: check_all(self.listeners, |listener| listener.check(identity))?,
            routes,
            clusters,
            limits: self.limits,
            trust: self.trust,
        })
    }
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(1),
            grace: Duration::from_secs(30),
        }
    }
}

impl Default for AdminFile {
    fn default() -> Self {
        Self {
            listen: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9990)),
        }
    }
}

fn check_all<F, C>(
    files: Vec<F>,
    check: impl Fn(F) -> Result<C, Problem>,
) -> Result<Vec<C>, Problem> {
    files.into_iter().map(check).collect()
}

fn check_known(kind: &str, name: &Span<String>, known: &HashSet<&str>) -> Result<(), Problem> {
    if known.contains(name.get_ref().as_str()) {
        return Ok(());
    }
    let mut known: Vec<_> = known.iter().copied().collect();
    known.sort_unstable();
    Err(name.problem(format!(
        "no [[{kind}]] is named `{}`: write one of {}",
        name.get_ref(),
        known.join(", ")
    )))
}

fn unique<'a>(kind: &str, names: impl Iterator<Item = &'a Span<String>>) -> Result<(), Problem> {
    let mut seen = HashSet::new();
    for name in names {
        if name.get_ref().is_empty() {
            return Err(name.problem(format!("a {kind} needs a name: write name = \"backend\"")));
        }
        if !seen.insert(name.get_ref()) {
            let text = format!(
                "two {kind}s are named `{}`: give one another name",
                name.get_ref()
            );
            return Err(name.problem(text));
        }
    }
    Ok(())
}

fn available_threads() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

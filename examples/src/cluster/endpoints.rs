//! The endpoints of a cluster that this process uses, and their connections.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use tower_balance_p2c::{Change, Subset};

use super::{EndpointBody, Fated};
use crate::{
    BoxError,
    config::ClusterConfig,
    endpoint::{Endpoint, EndpointSettings, Link},
};

/// An endpoint, as the balancer sees it.
pub(super) type Service = Fated<Endpoint<EndpointBody>>;

/// What makes a service of an endpoint that is to be used.
#[derive(Debug)]
pub(super) struct Maker {
    pub(super) settings: EndpointSettings,
    /// How long an answer's body may pause.
    pub(super) body_idle: Duration,
    pub(super) connections: Connections,
}

/// The connection of each endpoint in use, in the order of the configuration; clones share them.
/// Locked when an endpoint comes or goes, and when somebody asks.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections(Arc<Mutex<BTreeMap<usize, Connection>>>);

/// An endpoint's address, and what tells of its connection.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) address: SocketAddr,
    pub(super) link: Arc<Link<EndpointBody>>,
}

/// What the balancer hears of a cluster: services are made only of those endpoints that are in
/// this process's subset.
pub(super) fn discover(
    config: &ClusterConfig,
    maker: Maker,
) -> impl Stream<Item = Result<Change<SocketAddr, Service>, BoxError>> + Send + use<> {
    let endpoints = config.endpoints.iter().enumerate();
    let named: Vec<_> = endpoints
        .map(|(place, it)| Change::InsertWith(it.address, place, it.attributes()))
        .map(Ok::<_, BoxError>)
        .collect();
    // A static set never changes; discovery that never ends says so.
    let named = stream::iter(named).chain(stream::pending());
    let subset = Subset::new(named, config.balance.subset, *CLIENT);
    subset.map(move |change| maker.apply(change?))
}

impl Maker {
    fn apply(
        &self,
        change: Change<SocketAddr, usize>,
    ) -> Result<Change<SocketAddr, Service>, BoxError> {
        Ok(match change {
            Change::Insert(address, place) => Change::Insert(address, self.make(place, address)?),
            Change::InsertWith(address, place, attributes) => {
                Change::InsertWith(address, self.make(place, address)?, attributes)
            }
            Change::Remove(address) => {
                self.connections.remove(address);
                Change::Remove(address)
            }
            _ => return Err("discovery says what nobody here understands".into()),
        })
    }

    fn make(&self, place: usize, address: SocketAddr) -> Result<Service, BoxError> {
        let (endpoint, link) = self.settings.endpoint(address)?;
        let link = Arc::new(link);
        self.connections.insert(place, Connection { address, link });
        Ok(Fated::new(endpoint, self.body_idle))
    }
}

impl Connections {
    pub(super) fn all(&self) -> Vec<Connection> {
        self.lock().values().cloned().collect()
    }

    fn insert(&self, place: usize, connection: Connection) {
        self.lock().insert(place, connection);
    }

    fn remove(&self, address: SocketAddr) {
        self.lock().retain(|_, known| known.address != address);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What makes this process's subsets differ from those of others.
static CLIENT: LazyLock<u64> = LazyLock::new(rand::random);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use futures::FutureExt;

    use super::*;
    use crate::{config::Config, endpoint::connector, telemetry::UpstreamMetrics};

    #[tokio::test]
    async fn only_endpoints_of_the_subset_have_a_connection_and_one_that_leaves_has_none() {
        let endpoints: Vec<_> = (1..=50).map(|host| format!("127.0.0.{host}:9")).collect();
        let text = format!(
            "[[listener]]\nname = \"web\"\nlisten = \"127.0.0.1:0\"\ncluster = \"b\"\n\
             [[cluster]]\nname = \"b\"\nendpoints = {endpoints:?}\nbalance = {{ subset = 3 }}"
        );
        let config = Config::parse(&text, Path::new("proxy.toml")).unwrap();
        let config = &config.clusters[0];
        let connections = Connections::default();
        let maker = || Maker {
            settings: EndpointSettings {
                connector: connector(config.reconnect.keepalive, None),
                protocol: config.protocol,
                timeout: None,
                reconnect: config.reconnect,
                metrics: UpstreamMetrics::default(),
            },
            body_idle: Duration::from_secs(60),
            connections: connections.clone(),
        };
        let mut changes = discover(config, maker());
        for _ in 0..3 {
            changes.next().await.unwrap().unwrap();
        }
        assert!(changes.next().now_or_never().is_none());
        assert_eq!(connections.all().len(), 3);

        // The same process chooses the same again.
        let again = discover(config, maker()).take(3).collect::<Vec<_>>();
        assert_eq!(again.await.len(), 3);
        assert_eq!(connections.all().len(), 3);

        let left = connections.all()[1].address;
        maker().apply(Change::Remove(left)).unwrap();
        let rest: Vec<_> = connections.all().iter().map(|it| it.address).collect();
        assert!(rest.len() == 2 && !rest.contains(&left), "{rest:?}");
    }
}

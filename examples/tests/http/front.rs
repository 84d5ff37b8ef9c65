//! A started proxy in front of one endpoint, and the four ways through it.

use std::{future::Future, net::SocketAddr, sync::mpsc, time::Duration};

use examples::{cluster::EndpointStatus, proxy::Proxy};
use http::{Request, Response, Version, request::Parts};
use tempfile::TempDir;

use crate::support::{
    self,
    body::{TestBody, empty},
    client::Client,
    pki::Pki,
    upstream::Upstream,
};

/// What is spoken on the client's side and on the endpoint's.
#[derive(Clone, Copy)]
pub(crate) struct Hops {
    pub(crate) client: Version,
    pub(crate) upstream: Version,
}

/// A proxy with one cleartext listener and one endpoint.
pub(crate) struct Front {
    pub(crate) proxy: Proxy,
    _directory: TempDir,
}

impl Hops {
    pub(crate) const ALL: [Self; 4] = [
        Self::new(Version::HTTP_11, Version::HTTP_11),
        Self::new(Version::HTTP_11, Version::HTTP_2),
        Self::new(Version::HTTP_2, Version::HTTP_11),
        Self::new(Version::HTTP_2, Version::HTTP_2),
    ];

    const fn new(client: Version, upstream: Version) -> Self {
        Self { client, upstream }
    }

    /// Whether either side is HTTP/1.1.
    pub(crate) fn touch_http1(self) -> bool {
        self.client == Version::HTTP_11 || self.upstream == Version::HTTP_11
    }

    /// A proxy before `upstream`, and a client of it.
    pub(crate) async fn through(self, upstream: &Upstream) -> (Front, Client<TestBody>) {
        let front = Front::start(protocol(self.upstream), upstream.address, "");
        let client = front.client(self.client).await;
        (front, client)
    }
}

impl Front {
    /// `more` is the rest of the cluster's table, and tables after it.
    pub(crate) fn start(protocol: &str, endpoint: SocketAddr, more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cluster = format!("protocol = \"{protocol}\"\nendpoints = [\"{endpoint}\"]\n{more}");
        let config = support::cleartext(&cluster);
        let config = if more.contains("[cluster.balance]") {
            config
        } else {
            // A busy machine may take its time to connect.
            config + "\n[cluster.balance]\nwait = \"10s\"\n"
        };
        let proxy = support::start(&directory, &config);
        Self {
            proxy,
            _directory: directory,
        }
    }

    /// Speaks TLS to the endpoint, and expects the name `localhost`.
    pub(crate) fn start_tls(pki: Pki, protocol: &str, endpoint: SocketAddr, more: &str) -> Self {
        let tls = "tls = { ca = \"ca.pem\", server_name = \"localhost\" }";
        let cluster =
            format!("protocol = \"{protocol}\"\nendpoints = [\"{endpoint}\"]\n{tls}\n{more}");
        let proxy = support::start(&pki.directory, &support::cleartext(&cluster));
        Self {
            proxy,
            _directory: pki.directory,
        }
    }

    pub(crate) fn web(&self) -> SocketAddr {
        self.proxy.address("web").unwrap()
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.proxy.admin()
    }

    pub(crate) async fn client(&self, version: Version) -> Client<TestBody> {
        Client::connect(self.web(), version).await
    }

    /// Waits until the balancer has heard of the endpoint.
    pub(crate) async fn listed(&self) {
        let listed = || !self.proxy.status()[0].endpoints.is_empty();
        support::eventually("the endpoint is listed", listed).await;
    }

    /// What `/clusters` says of the one endpoint.
    pub(crate) fn endpoint(&self) -> EndpointStatus {
        self.proxy.status().remove(0).endpoints.remove(0)
    }
}

pub(crate) fn protocol(version: Version) -> &'static str {
    if version == Version::HTTP_2 {
        "http2"
    } else {
        "http1"
    }
}

/// An endpoint that notes each request's head and answers as `answer` says.
pub(crate) async fn noting<B>(
    answer: impl Fn() -> Response<B> + Clone + Send + Sync + 'static,
) -> (Upstream, mpsc::Receiver<Parts>)
where
    B: http_body::Body<Data: Send, Error: Into<support::BoxError>> + Send + 'static,
{
    let (seen, heads) = mpsc::channel();
    let upstream = Upstream::start(move |request| {
        seen.send(request.into_parts().0).unwrap();
        let response = answer();
        async move { response }
    });
    (upstream.await, heads)
}

pub(crate) fn get(path: &str) -> Request<TestBody> {
    Request::get(path).body(empty()).unwrap()
}

/// Ends a test that hangs.
pub(crate) async fn bounded<F: Future>(test: F) -> F::Output {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, Box::pin(test))
        .await
        .expect("the test ends within a minute")
}

/// Makes four tests of each behaviour: each client's protocol with each endpoint's.
macro_rules! through_all_hops {
    ($($behaviour:ident),+ $(,)?) => {$(
        mod $behaviour {
            use crate::front::{Hops, bounded};

            #[tokio::test]
            async fn http1_to_http1() {
                bounded(super::$behaviour(Hops::ALL[0])).await;
            }

            #[tokio::test]
            async fn http1_to_http2() {
                bounded(super::$behaviour(Hops::ALL[1])).await;
            }

            #[tokio::test]
            async fn http2_to_http1() {
                bounded(super::$behaviour(Hops::ALL[2])).await;
            }

            #[tokio::test]
            async fn http2_to_http2() {
                bounded(super::$behaviour(Hops::ALL[3])).await;
            }
        }
    )+};
}

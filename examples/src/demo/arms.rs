//! Three ways to call the same upstreams.

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::{Ready, ready};
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, time::timeout};
use tower::{
    ServiceExt,
    balance::p2c::Balance,
    buffer::Buffer,
    discover::ServiceList,
    load::{CompleteOnResponse, PeakEwmaDiscover},
    retry::{
        Policy, Retry,
        budget::{Budget, TpsBudget},
    },
    timeout::Timeout,
    util::BoxCloneService,
};
use tower_layer::Layer;

use crate::{
    BoxError,
    cluster::load_tls,
    config::{ClusterConfig, Config},
    credentials::Sources,
    endpoint::{Endpoint, EndpointBody, EndpointSettings, Resend, ResendLayer, connector},
    telemetry::UpstreamMetrics,
};

/// One way to call the upstreams.
pub(super) trait Arm: Send {
    /// What the figures call it.
    fn name(&self) -> &'static str;

    /// Sends one request, and reads its answer to the end; true if it succeeded.
    fn send(&mut self) -> Pin<Box<dyn Future<Output = bool> + Send>>;
}

/// A connection to each upstream, by the proxy's own layers: both arms beside the proxy share them.
pub(super) type Endpoints = Vec<Resend<Endpoint<Empty<Bytes>>>>;

/// Through the proxy.
pub(super) struct ProxyArm {
    sender: http2::SendRequest<Empty<Bytes>>,
    target: Uri,
}

/// Through tower's own `Buffer<Balance<PeakEwma>>`, `Retry` with `TpsBudget`, and `Timeout`.
pub(super) struct TowerArm(TowerStack);

/// To each in turn.
pub(super) struct RoundRobinArm {
    endpoints: Endpoints,
    next: usize,
}

type TowerStack =
    BoxCloneService<Request<Empty<Bytes>>, Response<EndpointBody<Empty<Bytes>>>, BoxError>;

/// Connects to each upstream of the demo's one cluster.
pub(super) fn endpoints(config: &Config) -> Result<Endpoints, BoxError> {
    let cluster: &ClusterConfig = config.clusters.first().ok_or("the demo has a cluster")?;
    let tls = load_tls(cluster, &mut Sources::default())?;
    let settings = EndpointSettings {
        connector: connector(
            cluster.reconnect.keepalive,
            tls.as_ref().map(|tls| &tls.layer),
        ),
        protocol: cluster.protocol,
        timeout: None,
        reconnect: cluster.reconnect,
        metrics: UpstreamMetrics::default(),
    };
    let resend = ResendLayer::new(cluster.reconnect.connect_timeout);
    let endpoints = cluster
        .endpoints
        .iter()
        .map(|endpoint| Ok(resend.layer(settings.endpoint(endpoint.address)?.0)));
    endpoints.collect()
}

impl ProxyArm {
    pub(super) async fn connect(proxy: SocketAddr) -> Result<Self, BoxError> {
        let stream = TcpStream::connect(proxy).await?;
        stream.set_nodelay(true)?;
        let builder = http2::Builder::new(TokioExecutor::new());
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self {
            sender,
            target: format!("http://{proxy}/").parse()?,
        })
    }
}

impl Arm for ProxyArm {
    fn name(&self) -> &'static str {
        "this proxy"
    }

    fn send(&mut self) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        let mut sender = self.sender.clone();
        let mut request = Request::new(Empty::new());
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = self.target.clone();
        Box::pin(async move {
            match timeout(PATIENCE, sender.send_request(request)).await {
                Ok(Ok(response)) => succeeded(response).await,
                _ => false,
            }
        })
    }
}

impl TowerArm {
    pub(super) fn new(endpoints: &Endpoints, retries: u32) -> Self {
        let services = ServiceList::new(endpoints.clone());
        // What linkerd2-proxy gives it: 30 ms to begin with, forgotten over 10 s.
        let discover =
            PeakEwmaDiscover::new(services, DEFAULT_RTT, DECAY, CompleteOnResponse::default());
        let balance = Buffer::new(Balance::new(discover), BUFFER);
        let attempt = Timeout::new(balance, ATTEMPT_TIMEOUT);
        let policy = TowerPolicy {
            budget: Arc::default(),
            left: retries,
        };
        Self(BoxCloneService::new(Retry::new(policy, attempt)))
    }
}

impl Arm for TowerArm {
    fn name(&self) -> &'static str {
        "tower 0.5.3"
    }

    fn send(&mut self) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        let stack = self.0.clone();
        Box::pin(async move {
            match timeout(PATIENCE, stack.oneshot(upstream_request())).await {
                Ok(Ok(response)) => succeeded(response).await,
                _ => false,
            }
        })
    }
}

impl RoundRobinArm {
    pub(super) fn new(endpoints: Endpoints) -> Self {
        Self { endpoints, next: 0 }
    }
}

impl Arm for RoundRobinArm {
    fn name(&self) -> &'static str {
        "round robin"
    }

    fn send(&mut self) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        self.next = (self.next + 1) % self.endpoints.len();
        let endpoint = self.endpoints[self.next].clone();
        Box::pin(async move {
            match timeout(ATTEMPT_TIMEOUT, endpoint.oneshot(upstream_request())).await {
                Ok(Ok(response)) => succeeded(response).await,
                _ => false,
            }
        })
    }
}

/// tower's retries, as its documentation shows them: every failure, within its default budget, as
/// often as the proxy.
#[derive(Clone)]
struct TowerPolicy {
    budget: Arc<TpsBudget>,
    left: u32,
}

impl<B> Policy<Request<Empty<Bytes>>, Response<B>, BoxError> for TowerPolicy {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Empty<Bytes>>,
        result: &mut Result<Response<B>, BoxError>,
    ) -> Option<Ready<()>> {
        if matches!(result, Ok(response) if !response.status().is_server_error()) {
            self.budget.deposit();
            return None;
        }
        if self.left == 0 || !self.budget.withdraw() {
            return None;
        }
        self.left -= 1;
        Some(ready(()))
    }

    fn clone_request(&mut self, request: &Request<Empty<Bytes>>) -> Option<Request<Empty<Bytes>>> {
        Some(request.clone())
    }
}

/// As the proxy's own endpoints get it: `Host` names the authority.
fn upstream_request() -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    request
        .headers_mut()
        .insert(header::HOST, HeaderValue::from_static("upstreams"));
    request
}

async fn succeeded<B: http_body::Body>(response: Response<B>) -> bool {
    response.status() == StatusCode::OK && response.into_body().collect().await.is_ok()
}

/// When a caller gives up.
const PATIENCE: Duration = Duration::from_secs(5);

/// For one attempt of the arms that do not learn theirs: what the proxy starts with.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);

const DEFAULT_RTT: Duration = Duration::from_millis(30);
const DECAY: Duration = Duration::from_secs(10);
const BUFFER: usize = 1024;

//! One endpoint's service by itself, without a proxy around it.

use std::net::SocketAddr;

use bytes::Bytes;
use examples::{
    config::{ClusterProtocol, ReconnectConfig},
    endpoint::{Endpoint, EndpointSettings, Resend, ResendLayer, connector},
    telemetry::UpstreamMetrics,
};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::Layer;

use crate::front::bounded;

pub(crate) type Service = Resend<Endpoint<Full<Bytes>>>;

pub(crate) fn service(
    endpoint: SocketAddr,
    protocol: ClusterProtocol,
    reconnect: ReconnectConfig,
) -> Service {
    let settings = EndpointSettings {
        connector: connector(reconnect.keepalive, None),
        protocol,
        timeout: None,
        reconnect,
        metrics: UpstreamMetrics::default(),
    };
    let endpoint = settings.endpoint(endpoint).unwrap().0;
    ResendLayer::new(reconnect.connect_timeout).layer(endpoint)
}

pub(crate) fn plain() -> Request<Full<Bytes>> {
    let request = Request::post("/").header("host", "proxy.test");
    request.body(Full::default()).unwrap()
}

pub(crate) async fn body<B: Body<Error: std::fmt::Debug>>(response: Response<B>) -> String {
    let body = bounded(response.into_body().collect()).await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

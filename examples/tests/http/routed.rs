//! A proxy with routes, two endpoints that say who they are and what they got, and clients that
//! ask for any authority.

use std::{fmt::Write, net::SocketAddr};

use examples::proxy::Proxy;
use http::{HeaderName, Request, Response, Version};
use hyper::body::Incoming;
use tempfile::TempDir;

use crate::{
    front::bounded,
    support::{
        self,
        body::{TestBody, empty, full},
        client::{Client, text},
        upstream::Upstream,
    },
};

/// Clusters `a` and `b`, each with one endpoint, behind the listener `web`.
pub(crate) struct Routed {
    pub(crate) proxy: Proxy,
    _directory: TempDir,
    _upstreams: Vec<Upstream>,
}

impl Routed {
    /// `cluster` is the listener's own, `tables` are its routes.
    pub(crate) async fn start(cluster: Option<&str>, tables: &str) -> Self {
        let upstreams = vec![telling("a").await, telling("b").await];
        let mut config = head(cluster);
        for (name, upstream) in ["a", "b"].iter().zip(&upstreams) {
            config.push_str(&one_cluster(name, "http1", upstream.address));
        }
        Self::of(upstreams, &(config + tables))
    }

    pub(crate) fn of(upstreams: Vec<Upstream>, config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let proxy = support::start(&directory, config);
        Self {
            proxy,
            _directory: directory,
            _upstreams: upstreams,
        }
    }

    pub(crate) fn web(&self) -> SocketAddr {
        self.proxy.address("web").unwrap()
    }

    pub(crate) async fn client(&self, version: Version) -> Client<TestBody> {
        Client::connect(self.web(), version).await
    }

    /// What GETs of `authority` and `path` are answered, over HTTP/1.1 and HTTP/2 alike.
    pub(crate) async fn get(&self, authority: &str, path: &str) -> Response<String> {
        let mut answers = Vec::new();
        for version in BOTH {
            let mut client = self.client(version).await;
            let request = Request::get(path).body(empty()).unwrap();
            let response = ask(&mut client, authority, request).await;
            let (parts, body) = response.into_parts();
            let body = text(Response::new(body)).await;
            answers.push(Response::from_parts(parts, body));
        }
        let (second, first) = (answers.remove(1), answers.remove(0));
        assert_eq!(first.status(), second.status(), "{authority} {path}");
        assert_eq!(first.body(), second.body(), "{authority} {path}");
        first
    }
}

/// Everything before the clusters.
pub(crate) fn head(cluster: Option<&str>) -> String {
    let mut head = String::from(
        r#"
[shutdown]
delay = "0s"
grace = "5s"

[admin]
listen = "127.0.0.1:0"

[[listener]]
name = "web"
listen = "127.0.0.1:0"
"#,
    );
    if let Some(cluster) = cluster {
        writeln!(head, "cluster = \"{cluster}\"").unwrap();
    }
    head
}

/// A cluster with one endpoint; tables of it may follow.
pub(crate) fn one_cluster(name: &str, protocol: &str, endpoint: SocketAddr) -> String {
    format!(
        r#"
[[cluster]]
name = "{name}"
protocol = "{protocol}"
endpoints = ["{endpoint}"]
balance = {{ wait = "10s" }}
"#
    )
}

/// One cluster `a`; `more` is the rest of its table.
pub(crate) fn one(more: &str, upstream: Upstream, routes: &str) -> Routed {
    let cluster = one_cluster("a", "http1", upstream.address);
    Routed::of(vec![upstream], &(head(None) + &cluster + more + routes))
}

/// Sends a request, whose target is a path, for `authority`.
pub(crate) async fn ask(
    client: &mut Client<TestBody>,
    authority: &str,
    mut request: Request<TestBody>,
) -> Response<Incoming> {
    let answer = match client {
        Client::Http1(_) => {
            let host = authority.parse().unwrap();
            request.headers_mut().insert("host", host);
            client.send(request).await
        }
        Client::Http2(sender) => {
            let target = format!("http://{authority}{}", request.uri());
            *request.uri_mut() = target.parse().unwrap();
            *request.version_mut() = Version::HTTP_2;
            bounded(async {
                sender.ready().await.unwrap();
                sender.send_request(request).await
            })
            .await
        }
    };
    answer.unwrap()
}

pub(crate) fn plain(path: &str) -> Request<TestBody> {
    Request::get(path).body(empty()).unwrap()
}

/// An endpoint that answers with its name and the target it was asked for, and gives the fields
/// `host` and `x-…` back as `seen-…`.
async fn telling(name: &'static str) -> Upstream {
    Upstream::start(move |request: Request<Incoming>| async move {
        let target = request.uri().path_and_query().unwrap().as_str();
        let mut response = Response::new(full(format!("{name} {target}")));
        response
            .headers_mut()
            .insert("x-server", name.parse().unwrap());
        for (field, value) in request.headers() {
            if field == "host" || field.as_str().starts_with("x-") {
                let seen: HeaderName = format!("seen-{field}").parse().unwrap();
                response.headers_mut().append(seen, value.clone());
            }
        }
        response
    })
    .await
}

pub(crate) const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

//! Which endpoint gets a request, and which is left alone.

mod ejection;
mod left_alone;
mod shares;

use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use examples::{cluster::ClusterStatus, proxy::Proxy};
use http::{Request, Response, StatusCode, Version};
use tokio::time::Instant;

use crate::{
    front::{bounded, get},
    support::{
        self,
        body::{TestBody, empty},
        client::{Client, read},
        eventually,
        upstream::Upstream,
    },
};

/// A proxy before several endpoints.
struct Field {
    proxy: Proxy,
    client: Client<TestBody>,
    _directory: tempfile::TempDir,
}

/// Requests that an endpoint got: when, and for what.
type Got = Arc<Mutex<Vec<(Instant, String)>>>;

impl Field {
    /// `endpoints` as they are written, `more` is the rest of the cluster's table.
    async fn start(endpoints: &str, more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = support::cleartext(&format!("endpoints = [{endpoints}]\n{more}"));
        let proxy = support::start(&directory, &config);
        let all_are_ready = || {
            let status = proxy.status().remove(0);
            status.ready > 0 && status.ready == status.endpoints.len()
        };
        eventually("all endpoints are ready", all_are_ready).await;
        let client = Client::connect(proxy.address("web").unwrap(), Version::HTTP_11).await;
        Self {
            proxy,
            client,
            _directory: directory,
        }
    }

    async fn get(&mut self, path: &str) -> StatusCode {
        let response = bounded(self.client.send(get(path))).await.unwrap();
        let status = response.status();
        read(response).await;
        status
    }

    fn status(&self) -> ClusterStatus {
        self.proxy.status().remove(0)
    }
}

#[tokio::test]
async fn no_retry_goes_to_an_endpoint_that_the_request_has_been_sent_to() {
    let (bad, seen_by_bad) = answering(unavailable).await;
    let (good, seen_by_good) = answering(|| Response::new(empty())).await;
    // A choice at random: whatever the bad one costs, it gets half of the first attempts.
    let more = "balance = { eject = \"off\", choices = 1 }\n\
                retry = { attempts = 2, reserve = 1000, backoff = { base = \"1ms\", max = \"2ms\" } }";
    let mut field = Field::start(&addresses(&[bad.address, good.address]), more).await;
    for number in 0..100 {
        let status = field.get(&format!("/{number}")).await;
        assert_eq!(status, StatusCode::OK, "request {number}");
    }
    let bad_ones: Vec<_> = paths(&seen_by_bad);
    assert!(bad_ones.len() > 20, "{bad_ones:?}");
    assert_eq!(seen_by_good.lock().unwrap().len(), 100);
    assert_eq!(field.status().retries.recovered, bad_ones.len() as u64);
}

#[tokio::test]
async fn a_retry_goes_to_the_only_endpoint_where_there_is_no_other() {
    let (bad, seen) = answering(unavailable).await;
    let more = "retry = { attempts = 3, backoff = { base = \"1ms\", max = \"2ms\" } }";
    let mut field = Field::start(&addresses(&[bad.address]), more).await;
    assert_eq!(field.get("/").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(paths(&seen), ["/", "/", "/"]);
}

fn unavailable() -> Response<TestBody> {
    let response = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE);
    response.body(empty()).unwrap()
}

/// An endpoint that notes what it is asked for, and answers as `answer` says.
async fn answering(
    answer: impl Fn() -> Response<TestBody> + Clone + Send + Sync + 'static,
) -> (Upstream, Got) {
    let got = Got::default();
    let noted = got.clone();
    let upstream = Upstream::start(move |request: Request<hyper::body::Incoming>| {
        let path = request.uri().path().to_owned();
        noted.lock().unwrap().push((Instant::now(), path));
        let response = answer();
        async move { response }
    });
    (upstream.await, got)
}

fn paths(got: &Got) -> Vec<String> {
    let got = got.lock().unwrap();
    got.iter().map(|(_, path)| path.clone()).collect()
}

fn addresses(endpoints: &[SocketAddr]) -> String {
    let mut list = String::new();
    for endpoint in endpoints {
        write!(list, "\"{endpoint}\", ").unwrap();
    }
    list
}

//! gRPC as tonic speaks it, and the proxy's own answers to it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, stream};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tonic::{Code, Status, transport::Channel};
use tonic_health::{
    ServingStatus,
    pb::{
        HealthCheckRequest, HealthCheckResponse,
        health_client::HealthClient,
        health_server::{Health, HealthServer},
    },
    server::{HealthReporter, health_reporter},
};
use tower::ServiceExt;

use crate::{
    front::{Front, bounded},
    support::{
        body::{TestBody, full},
        client::read,
        eventually,
        upstream::Upstream,
    },
};

#[tokio::test]
async fn a_call_is_answered() {
    let (reporter, upstream) = health().await;
    let (front, mut client) = through(&upstream, "").await;
    reporter
        .set_service_status("db", ServingStatus::NotServing)
        .await;
    for (service, expected) in [
        ("", ServingStatus::Serving),
        ("db", ServingStatus::NotServing),
    ] {
        let answer = bounded(client.check(asking(service))).await.unwrap();
        assert_eq!(answer.into_inner().status, expected as i32);
    }
    assert_eq!(
        (front.endpoint().requests, front.endpoint().failures),
        (2, 0)
    );
}

#[tokio::test]
async fn updates_of_a_stream_arrive_one_by_one() {
    let (reporter, upstream) = health().await;
    let (_front, mut client) = through(&upstream, "").await;
    let mut updates = bounded(client.watch(asking("")))
        .await
        .unwrap()
        .into_inner();
    let mut status = ServingStatus::Serving;
    for _ in 0..10 {
        let update = bounded(updates.message()).await.unwrap().unwrap();
        assert_eq!(update.status, status as i32);
        // Only after this one has come is the next one made.
        status = if status == ServingStatus::Serving {
            ServingStatus::NotServing
        } else {
            ServingStatus::Serving
        };
        reporter.set_service_status("", status).await;
    }
}

#[tokio::test]
async fn an_error_of_the_service_is_its_own() {
    let (_reporter, upstream) = health().await;
    let (front, mut client) = through(&upstream, "").await;
    let error = bounded(client.check(asking("nobody"))).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.message().contains("not registered"), "{error:?}");
    assert!(!error.metadata().contains_key("proxy-status"));
    assert_eq!(
        front.endpoint().failures,
        0,
        "an endpoint that says no is not broken"
    );
}

#[tokio::test]
async fn a_status_after_messages_passes_in_the_trailers() {
    let upstream = hanging(|updates| async move {
        updates
            .send(Ok(HealthCheckResponse { status: 1 }))
            .await
            .unwrap();
        updates
            .send(Err(Status::data_loss("lost it")))
            .await
            .unwrap();
    });
    let (upstream, _dropped) = upstream.await;
    let (_front, mut client) = through(&upstream, "").await;
    let mut updates = bounded(client.watch(asking("")))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(bounded(updates.message()).await.unwrap().unwrap().status, 1);
    let error = bounded(updates.message()).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::DataLoss, "lost it"));
}

#[tokio::test]
async fn a_service_that_is_down_is_unavailable() {
    let (_reporter, upstream) = health().await;
    let address = upstream.kill().await;
    let front = Front::start("http2", address, "[cluster.balance]\nwait = \"50ms\"");
    let error = bounded(client_of(&front).await.check(asking("")))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error:?}");

    let answer = raw_call(&front, &[]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let headers = answer.headers();
    assert_eq!(headers["grpc-status"], "14");
    assert_eq!(headers["content-type"], "application/grpc");
    assert!(!headers["grpc-message"].is_empty());
    let reason = headers["proxy-status"].to_str().unwrap();
    assert!(
        reason.starts_with("proxy; error=destination_unavailable"),
        "{reason}"
    );
    assert!(
        read(answer).await.to_bytes().is_empty(),
        "an error has no message"
    );
}

#[tokio::test]
async fn a_deadline_that_passes_is_told_and_cancels_the_call() {
    let (upstream, dropped) = hanging(|_| std::future::pending()).await;
    let (front, mut client) = through(&upstream, "").await;
    let mut request = tonic::Request::new(asking(""));
    request.set_timeout(Duration::from_millis(200));
    let error = bounded(client.check(request)).await.unwrap_err();
    // tonic's own clock runs as well, and calls what it cuts off cancelled.
    assert!(
        [Code::DeadlineExceeded, Code::Cancelled].contains(&error.code()),
        "{error:?}"
    );
    eventually("the handler was dropped", || {
        dropped.load(Ordering::Relaxed) == 1
    })
    .await;

    let answer = bounded(raw_call(&front, &[("grpc-timeout", "150m")])).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["grpc-status"], "4");
    let reason = answer.headers()["proxy-status"].to_str().unwrap();
    assert!(
        reason.starts_with("proxy; error=http_response_timeout"),
        "{reason}"
    );
    eventually("the handler was dropped", || {
        dropped.load(Ordering::Relaxed) == 2
    })
    .await;
}

#[tokio::test]
async fn the_rest_of_a_deadline_is_passed_on() {
    let upstream = Upstream::start(|request: Request<hyper::body::Incoming>| async move {
        let left = request.headers().get("grpc-timeout").cloned();
        let mut response = Response::new(full(""));
        if let Some(left) = left {
            response.headers_mut().insert("x-left", left);
        }
        response
    })
    .await;
    let front = Front::start("http2", upstream.address, "");
    let answer = bounded(raw_call(&front, &[("grpc-timeout", "20S")])).await;
    let left = answer.headers()["x-left"].to_str().unwrap().to_owned();
    let (number, unit) = left.split_at(left.len() - 1);
    let number: f64 = number.parse().unwrap();
    let seconds = match unit {
        "n" => number / 1e9,
        "u" => number / 1e6,
        "m" => number / 1e3,
        "S" => number,
        other => panic!("unit {other}"),
    };
    assert!(seconds > 0.0 && seconds <= 20.0, "{left}");
}

#[tokio::test]
async fn a_call_that_is_cancelled_is_cancelled_at_the_service() {
    let (upstream, dropped) = hanging(|_| std::future::pending()).await;
    let (front, client) = through(&upstream, "").await;
    let mut caller = client.clone();
    let call = tokio::spawn(async move { caller.check(asking("")).await });
    eventually("the call is in flight", || front.endpoint().in_flight == 1).await;
    call.abort();
    eventually("the handler was dropped", || {
        dropped.load(Ordering::Relaxed) == 1
    })
    .await;
    eventually("nothing is in flight", || front.endpoint().in_flight == 0).await;
    assert_eq!(front.endpoint().failures, 0, "the client left");
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_dropped_at_the_service() {
    let (closed_out, mut closed) = mpsc::channel(1);
    let upstream = hanging(move |updates| {
        let closed = closed_out.clone();
        async move {
            updates
                .send(Ok(HealthCheckResponse { status: 1 }))
                .await
                .unwrap();
            updates.closed().await;
            closed.send(()).await.unwrap();
        }
    });
    let (upstream, _dropped) = upstream.await;
    let (_front, mut client) = through(&upstream, "").await;
    let mut updates = bounded(client.watch(asking("")))
        .await
        .unwrap()
        .into_inner();
    bounded(updates.message()).await.unwrap();
    drop(updates);
    bounded(closed.recv()).await.unwrap();
}

#[tokio::test]
async fn a_service_that_dies_in_a_stream_ends_it_visibly() {
    let (_reporter, upstream) = health().await;
    let (_front, mut client) = through(&upstream, "").await;
    let mut updates = bounded(client.watch(asking("")))
        .await
        .unwrap()
        .into_inner();
    bounded(updates.message()).await.unwrap();
    upstream.kill().await;
    let error = bounded(updates.message())
        .await
        .expect_err("a stream without a status is no success");
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(error.message(), "the endpoint broke its answer off");
}

/// tonic's own service, over both protocols of [`Upstream`].
async fn health() -> (HealthReporter, Upstream) {
    let (reporter, server) = health_reporter();
    (reporter, serve(server).await)
}

async fn serve<T: Health>(server: HealthServer<T>) -> Upstream {
    Upstream::start(move |request| {
        let answer = server.clone().oneshot(request);
        async move { answer.await.unwrap() }
    })
    .await
}

/// A service whose calls never end, and whose streams are what `updates` sends; counts its calls
/// that were dropped.
async fn hanging<F>(
    updates: impl Fn(Updates) -> F + Send + Sync + 'static,
) -> (Upstream, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let dropped = Arc::new(AtomicUsize::new(0));
    let service = Hanging {
        dropped: dropped.clone(),
        updates: Box::new(move |sender| Box::pin(updates(sender))),
    };
    (serve(HealthServer::new(service)).await, dropped)
}

type Updates = mpsc::Sender<Result<HealthCheckResponse, Status>>;

type Sending = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Hanging {
    dropped: Arc<AtomicUsize>,
    updates: Box<dyn Fn(Updates) -> Sending + Send + Sync>,
}

#[tonic::async_trait]
impl Health for Hanging {
    async fn check(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        let _noted = NoteDrop(self.dropped.clone());
        std::future::pending().await
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Self::WatchStream>, Status> {
        let (sender, mut receiver) = mpsc::channel(1);
        tokio::spawn((self.updates)(sender));
        let updates = stream::poll_fn(move |cx| receiver.poll_recv(cx));
        Ok(tonic::Response::new(Box::pin(updates)))
    }
}

struct NoteDrop(Arc<AtomicUsize>);

impl Drop for NoteDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

async fn through(upstream: &Upstream, more: &str) -> (Front, HealthClient<Channel>) {
    let front = Front::start("http2", upstream.address, more);
    let client = client_of(&front).await;
    (front, client)
}

async fn client_of(front: &Front) -> HealthClient<Channel> {
    let endpoint = Channel::from_shared(format!("http://{}", front.web())).unwrap();
    HealthClient::new(endpoint.connect().await.unwrap())
}

/// A call of `Check` without tonic's client, which would hide the answer's head.
async fn raw_call(
    front: &Front,
    fields: &[(&'static str, &str)],
) -> Response<hyper::body::Incoming> {
    let message: TestBody = full(Bytes::from_static(&[0, 0, 0, 0, 0]));
    let mut headers = HeaderMap::new();
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")]
        .iter()
        .chain(fields)
    {
        headers.insert(*name, value.parse().unwrap());
    }
    let mut request = Request::post("/grpc.health.v1.Health/Check")
        .body(message.boxed_unsync())
        .unwrap();
    *request.headers_mut() = headers;
    let mut client = front.client(Version::HTTP_2).await;
    bounded(client.send(request)).await.unwrap()
}

fn asking(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

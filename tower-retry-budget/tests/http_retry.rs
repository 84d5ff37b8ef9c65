//! The rules and the bodies at work in the layer.
#![cfg(feature = "http")]

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, channel::Channel};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_retry_budget::{
    Kind, RetryLayer,
    http::{BodyReplay, ReplayBody, StatusPolicy},
};

mod support;

use support::{at_once, tokens};

fn layer(limit: usize) -> RetryLayer<StatusPolicy, BodyReplay> {
    let builder = RetryLayer::builder(tokens(20)).backoff(at_once());
    let policy = StatusPolicy::new().methods([Method::GET, Method::PUT]);
    let builder = builder.policy(policy);
    builder
        .replay(BodyReplay::new(limit))
        .build()
        .expect("valid")
}

/// What a server has read, and the answers it still has to give.
#[derive(Clone, Default)]
struct Server {
    read: Arc<Mutex<Vec<Bytes>>>,
    answers: Arc<Mutex<Vec<u16>>>,
}

impl Server {
    fn answering<const N: usize>(mut answers: [u16; N]) -> Self {
        answers.reverse();
        Self {
            read: Arc::default(),
            answers: Arc::new(Mutex::new(answers.to_vec())),
        }
    }

    async fn answer(
        self,
        request: Request<ReplayBody<Full<Bytes>>>,
    ) -> Result<Response<()>, Infallible> {
        let body = request.into_body().collect().await.expect("infallible");
        self.read.lock().expect("unpoisoned").push(body.to_bytes());
        Ok(self.response())
    }

    fn response(&self) -> Response<()> {
        let mut response = Response::new(());
        let status = self.answers.lock().expect("unpoisoned").pop();
        *response.status_mut() = status
            .and_then(|status| StatusCode::from_u16(status).ok())
            .expect("an answer for each attempt");
        response
    }

    async fn send(&self, layer: &RetryLayer<StatusPolicy, BodyReplay>, method: Method) -> u16 {
        let server = self.clone();
        let service = service_fn(move |request| server.clone().answer(request));
        let request = Request::builder().method(method).uri("/");
        let request = request.body(Full::new(Bytes::from(vec![b'x'; 100])));
        let response = layer.layer(service).oneshot(request.expect("valid")).await;
        response.expect("infallible").status().as_u16()
    }

    fn lengths(&self) -> Vec<usize> {
        self.read
            .lock()
            .expect("unpoisoned")
            .iter()
            .map(Bytes::len)
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_is_sent_again_with_its_body() {
    let server = Server::answering([503, 502, 200]);
    assert_eq!(server.send(&layer(100), Method::PUT).await, 200);
    assert_eq!(server.lengths(), [100, 100, 100]);
}

#[tokio::test(start_paused = true)]
async fn a_post_is_sent_once() {
    let (server, layer) = (Server::answering([503]), layer(100));
    assert_eq!(server.send(&layer, Method::POST).await, 503);
    assert_eq!(layer.stats().not_retryable, 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_above_the_limit_is_sent_once_and_its_answer_returned() {
    let (server, layer) = (Server::answering([503]), layer(99));
    assert_eq!(server.send(&layer, Method::PUT).await, 503);
    assert_eq!(server.lengths(), [100]);
    assert_eq!(layer.stats().not_replayable, 1);
}

#[tokio::test(start_paused = true)]
async fn an_early_answer_is_retried_while_the_body_still_streams() {
    type Body = ReplayBody<Channel<Bytes>>;
    let server = Server::answering([503, 200]);
    let (uploads, mut arriving) = tokio::sync::mpsc::unbounded_channel::<Body>();
    let inner = server.clone();
    let service = service_fn(move |request: Request<Body>| {
        // The answer comes first; a connection goes on with the body.
        uploads.send(request.into_body()).expect("open");
        std::future::ready(Ok::<_, Infallible>(inner.response()))
    });
    let (mut client, body) = Channel::<Bytes>::new(8);
    client.send_data("ab".into()).await.unwrap();
    let request = Request::put("/").body(body).unwrap();
    let response = layer(1024).layer(service).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);

    let (old, new) = (
        arriving.recv().await.unwrap(),
        arriving.recv().await.unwrap(),
    );
    let old = tokio::spawn(old.collect());
    let new = tokio::spawn(new.collect());
    tokio::task::yield_now().await;
    client.send_data("cd".into()).await.unwrap();
    drop(client);
    assert_eq!(new.await.unwrap().unwrap().to_bytes(), "abcd");
    old.abort();
}

#[tokio::test(start_paused = true)]
async fn when_the_budget_refuses_an_early_answer_the_body_goes_on() {
    type Body = ReplayBody<Channel<Bytes>>;
    let server = Server::answering([503]);
    let (uploads, mut arriving) = tokio::sync::mpsc::unbounded_channel::<Body>();
    let budget = tokens(1);
    let drain = budget.clone();
    let inner = server.clone();
    let service = service_fn(move |request: Request<Body>| {
        uploads.send(request.into_body()).expect("open");
        // Somebody else takes the last token in the meantime.
        let _ = drain.try_withdraw(Kind::Transient);
        std::future::ready(Ok::<_, Infallible>(inner.response()))
    });
    let policy = StatusPolicy::new().methods([Method::PUT]);
    let builder = RetryLayer::builder(budget).policy(policy);
    let layer = builder.replay(BodyReplay::default()).build().unwrap();
    let (mut client, body) = Channel::<Bytes>::new(8);
    let mut service = layer.layer(service);
    let request = Request::put("/").body(body).unwrap();
    let response = service.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(layer.stats().exhausted, 1);
    client.send_data("ab".into()).await.unwrap();
    drop(client);
    let body = arriving.recv().await.unwrap();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "ab");
}

#[test]
fn what_is_sent_between_threads_can_be() {
    fn is_send_and_sync<T: Send + Sync + 'static>() {}
    fn is_send<T: Send + 'static>() {}
    type Client = tower::util::BoxCloneService<Request<ReplayBody<Full<Bytes>>>, (), Infallible>;
    type Service = tower_retry_budget::Retry<Client, StatusPolicy, BodyReplay>;
    is_send_and_sync::<ReplayBody<Full<Bytes>>>();
    is_send_and_sync::<RetryLayer<StatusPolicy, BodyReplay>>();
    is_send::<Service>();
}

#[test]
fn the_future_is_send() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let server = Server::default();
    let service = service_fn(move |request| server.clone().answer(request));
    let mut service = layer(0).layer(service);
    drop(is_send(service.call(Request::new(Full::default()))));
}

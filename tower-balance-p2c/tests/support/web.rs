//! Servers that answer with what they are told to, and a balancer over them.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, StreamBody, combinators::UnsyncBoxBody};
use tokio::time::sleep;
use tower_balance_p2c::{
    Balance, BalanceLayer, Change, Completion, EndpointStats, http::HttpClassify,
};
use tower_service::Service;

pub type Body = UnsyncBoxBody<Bytes, &'static str>;
pub type Pool<T> = Balance<u8, Server, Request<()>, HttpClassify, T>;

/// What a server does with a request: how long until its head, if ever, and the response.
pub type Reply = (Option<Duration>, Response<Body>);

#[derive(Clone)]
pub struct Server {
    pub key: u8,
    pub calls: Arc<AtomicUsize>,
    reply: Arc<Mutex<Box<dyn FnMut() -> Reply + Send>>>,
}

impl Server {
    pub fn new(key: u8) -> Self {
        let server = Self {
            key,
            calls: Arc::default(),
            reply: Arc::new(Mutex::new(Box::new(|| (None, Response::new(empty()))))),
        };
        server.reply(|| (Some(LATENCY), Response::new(empty())));
        server
    }

    pub fn reply(&self, reply: impl FnMut() -> Reply + Send + 'static) {
        *self.reply.lock().unwrap() = Box::new(reply);
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Service<Request<()>> for Server {
    type Response = Response<Body>;
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, &'static str>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let (wait, response) = (self.reply.lock().unwrap())();
        Box::pin(async move {
            match wait {
                Some(wait) => sleep(wait).await,
                None => std::future::pending().await,
            }
            Ok(response)
        })
    }
}

pub const LATENCY: Duration = Duration::from_millis(11);

pub fn servers<const N: usize>() -> [Server; N] {
    std::array::from_fn(|key| Server::new(key as u8 + 1))
}

pub async fn pool<T, const N: usize>(completion: T, servers: &[Server; N]) -> Pool<T>
where
    T: Completion<Response<Body>> + Clone,
{
    let builder = BalanceLayer::builder().seed(1).classify(HttpClassify);
    let layer = builder.completion(completion).build().unwrap();
    let inserts = servers.clone().map(|server| {
        let insert = Change::Insert(server.key, server);
        Ok::<_, Infallible>(insert)
    });
    let (balance, driver) = layer.pair(stream::iter(inserts));
    tokio::spawn(driver);
    while balance.stats().ready < N {
        tokio::task::yield_now().await;
    }
    balance
}

pub fn seen<T>(balance: &Pool<T>, key: u8) -> EndpointStats<u8> {
    let endpoints = balance.stats().endpoints;
    let mut found = endpoints.into_iter().filter(|endpoint| endpoint.key == key);
    found.next().unwrap()
}

pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// One frame, and no end.
pub fn endless() -> Body {
    let first = stream::iter([data()]);
    StreamBody::new(first.chain(stream::pending())).boxed_unsync()
}

pub fn of(frames: Vec<Result<Frame<Bytes>, &'static str>>) -> Body {
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

pub fn data() -> Result<Frame<Bytes>, &'static str> {
    Ok(Frame::data(Bytes::from_static(b"data")))
}

pub fn fields(fields: &[(&'static str, &str)]) -> HeaderMap {
    let fields = fields.iter().map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        )
    });
    fields.collect()
}

pub fn head(status: u16, of: &[(&'static str, &str)]) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = status.try_into().unwrap();
    *response.headers_mut() = fields(of);
    response
}

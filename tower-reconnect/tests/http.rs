//! With hyper, over sockets: servers that say GOAWAY or `connection: close` cost no request and no
//! backoff, and what was not sent is told from what may have been.
#![allow(clippy::unwrap_used)]

#[path = "support/http.rs"]
mod connections;

use std::{
    convert::Infallible,
    error::Error,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, header::CONNECTION};
use http_body_util::{BodyExt, Empty, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
    server,
    service::service_fn as serve_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_reconnect::{
    Builder, Reconnect, ReconnectLayer,
    error::{BoxError, NotSent, is_unsent},
    exclusive::Exclusive,
};
use tower_service::Service;

use self::connections::{Http1, Http2};

type Get = Request<Empty<Bytes>>;

/// Four clients over one connection after the other, each of which ends by a GOAWAY while they
/// send: every request is answered, some at the second attempt, and none waits for a backoff.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goaway_retires_a_shared_connection_and_fails_nothing_that_was_sent() {
    let (address, mut connections) = http2_server().await;
    let service = http2(ReconnectLayer::builder(address).worked_after(1));
    let watch = service.watch();
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        let mut service = service.clone();
        clients.spawn(async move {
            for request in 0..1000 {
                loop {
                    let ready = service.ready().await.unwrap();
                    match ready.call(get(request)).await {
                        Ok(response) => {
                            assert_eq!(body(response).await, format!("/{request}"));
                            break;
                        }
                        Err(error) => assert!(is_unsent(&*error), "{error:?}"),
                    }
                }
            }
        });
    }
    let ending = tokio::spawn(async move {
        while let Some(shut_down) = connections.recv().await {
            // That of one that has answered nothing is a failure. Four clients send a fifth request
            // only after an answer.
            while shut_down.answered.load(SeqCst) < 5 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            let _ = shut_down.sender.send(());
        }
    });
    within(clients.join_all()).await;
    ending.abort();
    let stats = watch.stats();
    assert!(stats.retired >= 5, "{stats:?}");
    assert_eq!((stats.unstable, stats.failures), (0, 0), "{stats:?}");
}

/// A request in flight is finished on the connection that says GOAWAY.
#[tokio::test]
async fn what_is_in_flight_when_goaway_comes_is_answered() {
    let (address, mut connections) = http2_server().await;
    let mut service = http2(ReconnectLayer::builder(address));
    let slow = service.ready().await.unwrap().call(get_path("/slow"));
    let slow = tokio::spawn(slow);
    let shut_down = connections.recv().await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    shut_down.sender.send(()).unwrap();
    let mut fast = 0;
    while !slow.is_finished() {
        let response = service.ready().await.unwrap().call(get(fast)).await;
        match response {
            Ok(response) => assert_eq!(body(response).await, format!("/{fast}")),
            Err(error) => assert!(error.is::<NotSent>(), "{error:?}"),
        }
        fast += 1;
    }
    assert_eq!(body(slow.await.unwrap().unwrap()).await, "/slow");
    assert!(fast > 0);
}

/// The server closes after each third answer, and says so: no request ever meets the end.
#[tokio::test]
async fn connection_close_retires_an_exclusive_connection_and_costs_no_request() {
    let server = Http1Server::start().await;
    let mut service = http1(&server);
    for request in 0..300 {
        let ready = within(service.ready()).await.unwrap();
        let response = within(ready.call(get(request))).await.unwrap();
        assert_eq!(body(response).await, format!("/{request}"));
    }
    let stats = service.watch().stats();
    assert_eq!((stats.dials, stats.retired), (100, 99), "{stats:?}");
    assert_eq!((stats.unstable, stats.failures), (0, 0), "{stats:?}");
}

#[tokio::test]
async fn a_request_handed_to_a_connection_that_has_ended_is_marked_and_one_that_was_sent_is_not() {
    let mut server = Http1Server::start().await;
    let mut service = http1(&server);
    let ready = service.ready().await.unwrap();
    let sent = ready.call(get_path("/break")).await.unwrap_err();
    assert!(sent.downcast_ref::<hyper::Error>().is_some(), "{sent:?}");
    assert!(!is_unsent(&*sent));

    close_while_ready(&mut service, &mut server).await;
    let error = service.call(get(7)).await.unwrap_err();
    let not_sent = error.downcast_ref::<NotSent>().unwrap();
    let source = not_sent.source().unwrap();
    assert!(source.downcast_ref::<hyper::Error>().unwrap().is_canceled());
    assert!(is_unsent(&*error));
    let response = service.ready().await.unwrap().call(get(7)).await.unwrap();
    assert_eq!(body(response).await, "/7");
}

#[tokio::test]
async fn without_a_rule_the_errors_pass_as_they_are() {
    let mut server = Http1Server::start().await;
    let layer = ReconnectLayer::builder(server.address).build_exclusive();
    let mut service = layer.unwrap().layer(server.dial());
    close_while_ready(&mut service, &mut server).await;
    let error = service.call(get(7)).await.unwrap_err();
    assert!(error.downcast_ref::<hyper::Error>().unwrap().is_canceled());
}

/// Lets a handle say that it is ready, and its connection end after that.
async fn close_while_ready(service: &mut Exclusive<Http1>, server: &mut Http1Server) {
    within(service.ready()).await.unwrap();
    let (mut close, mut ended) = (None, None);
    while let Ok(latest) = server.accepted.try_recv() {
        close = Some(latest);
    }
    while let Ok(latest) = server.dialled.try_recv() {
        ended = Some(latest);
    }
    close.unwrap().send(()).unwrap();
    let _ = within(ended.unwrap()).await.unwrap();
}

fn http2(builder: Builder<SocketAddr>) -> Reconnect<Http2> {
    let dial = service_fn(|address: SocketAddr| async move {
        let io = TokioIo::new(TcpStream::connect(address).await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        Ok::<_, BoxError>(Http2(sender))
    });
    let builder = builder.retired_when(has_ended).unsent_when(was_not_sent);
    builder.build().unwrap().layer(dial)
}

fn http1(server: &Http1Server) -> Exclusive<Http1> {
    let builder = ReconnectLayer::builder(server.address);
    let builder = builder.retired_when(has_ended).unsent_when(was_not_sent);
    builder.build_exclusive().unwrap().layer(server.dial())
}

/// hyper says nothing more of an end than that there is one.
fn has_ended(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<hyper::Error>();
    error.is_some_and(hyper::Error::is_closed)
}

/// It waited in hyper's queue, or its stream is one that the server says it has not looked at.
fn was_not_sent(error: &(dyn Error + 'static)) -> bool {
    let Some(error) = error.downcast_ref::<hyper::Error>() else {
        return false;
    };
    let unprocessed = error
        .source()
        .and_then(<dyn Error>::downcast_ref)
        .is_some_and(|error: &h2::Error| {
            let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM);
            let retired = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
            refused || retired && error.is_remote()
        });
    error.is_canceled() || unprocessed
}

/// By which a connection can be told to shut down gracefully.
struct ShutDown {
    sender: oneshot::Sender<()>,
    answered: Arc<AtomicU64>,
}

async fn http2_server() -> (SocketAddr, mpsc::UnboundedReceiver<ShutDown>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (accepting, accepted) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (sender, told) = oneshot::channel();
            let answered = Arc::<AtomicU64>::default();
            let count = answered.clone();
            let _ = accepting.send(ShutDown { sender, answered });
            let service = serve_fn(move |request| {
                count.fetch_add(1, SeqCst);
                answer(request)
            });
            tokio::spawn(async move {
                let builder = server::conn::http2::Builder::new(TokioExecutor::new());
                let connection = builder.serve_connection(TokioIo::new(stream), service);
                let mut connection = std::pin::pin!(connection);
                tokio::select! {
                    ended = connection.as_mut() => return ended,
                    Ok(()) = told => connection.as_mut().graceful_shutdown(),
                }
                connection.await
            });
        }
    });
    (address, accepted)
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    if path == "/slow" {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    Ok(Response::new(Full::from(path)))
}

struct Http1Server {
    address: SocketAddr,
    /// By which a connection is closed without a word.
    accepted: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    /// The clients' connections, to see their ends.
    dialled: mpsc::UnboundedReceiver<JoinHandle<hyper::Result<()>>>,
    dialling: mpsc::UnboundedSender<JoinHandle<hyper::Result<()>>>,
}

impl Http1Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (accepting, accepted) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (close, closed) = oneshot::channel();
                let _ = accepting.send(close);
                tokio::spawn(http1_connection(stream, closed));
            }
        });
        let (dialling, dialled) = mpsc::unbounded_channel();
        Self {
            address,
            accepted,
            dialled,
            dialling,
        }
    }

    fn dial(
        &self,
    ) -> impl Service<SocketAddr, Response = Http1, Error = BoxError, Future: Send> + Send + use<>
    {
        let dialling = self.dialling.clone();
        service_fn(move |address: SocketAddr| {
            let dialling = dialling.clone();
            async move {
                let io = TokioIo::new(TcpStream::connect(address).await?);
                let (sender, connection) = http1::handshake(io).await?;
                let _ = dialling.send(tokio::spawn(connection));
                Ok(Http1(sender))
            }
        })
    }
}

/// Says `connection: close` with every third answer, and breaks off where it is asked to.
async fn http1_connection(stream: TcpStream, closed: oneshot::Receiver<()>) {
    let count = AtomicU64::new(0);
    let service = serve_fn(|request: Request<Incoming>| {
        let path = request.uri().path().to_owned();
        let close = count.fetch_add(1, SeqCst) % 3 == 2;
        async move {
            if path == "/break" {
                return Err("broken off");
            }
            let mut response = Response::new(Full::<Bytes>::from(path));
            if close {
                let close = http::HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            Ok(response)
        }
    });
    let connection = server::conn::http1::Builder::new();
    let connection = connection.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = connection => {}
        _ = closed => {}
    }
}

fn get(number: u64) -> Get {
    get_path(&format!("/{number}"))
}

fn get_path(path: &str) -> Get {
    let uri = format!("http://peer{path}");
    Request::get(uri).body(Empty::new()).unwrap()
}

async fn body(response: Response<Incoming>) -> String {
    let body = response.into_body().collect().await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), future).await.unwrap()
}

//! What an HTTP/2 server sees of a request that timed out: a reset of its stream, and no more of it.
//! Over sockets and with real time.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{future::poll_fn, time::Duration};

use bytes::Bytes;
use h2::Reason;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::Incoming,
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_timeout_ewma::{
    AdaptiveTimeoutLayer, BoxError, Builder, Scope,
    deadline::{Deadline, DeadlineLayer, http::HttpDeadline},
    error::{Elapsed, Expired},
    http::{BodyIdle, WholeBody},
};

/// Long enough for a loaded machine to answer in, where an answer is expected.
const LIMIT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_request_that_times_out_is_reset() {
    let (mut client, mut resets) = connect().await;
    let service = AdaptiveTimeoutLayer::fixed(LIMIT).layer(send(&client));
    let error = service.oneshot(request("/hang")).await.unwrap_err();
    assert!(error.is::<Elapsed>(), "{error}");
    assert_eq!(reset(&mut resets).await, ("/hang".into(), Reason::CANCEL));
    is_usable(&mut client).await;
}

#[tokio::test]
async fn a_request_whose_deadline_passes_is_reset() {
    let (mut client, mut resets) = connect().await;
    let service = DeadlineLayer::new(HttpDeadline::new()).layer(send(&client));
    let mut request = request("/hang");
    request.extensions_mut().insert(Deadline::after(LIMIT));
    let error = service.oneshot(request).await.unwrap_err();
    assert!(!error.downcast_ref::<Expired>().unwrap().before_start());
    assert_eq!(reset(&mut resets).await, ("/hang".into(), Reason::CANCEL));
    is_usable(&mut client).await;
}

#[tokio::test]
async fn a_body_that_pauses_is_reset() {
    let (mut client, mut resets) = connect().await;
    let layer = Builder::default().scope(BodyIdle).build_fixed(LIMIT);
    let response = layer.layer(send(&client)).oneshot(request("/pause")).await;
    // The body is held by the caller until it is dropped below.
    let mut body = response.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "first");
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(
        error.downcast_ref::<Elapsed>().unwrap().scope(),
        Scope::BodyIdle
    );
    assert_eq!(reset(&mut resets).await, ("/pause".into(), Reason::CANCEL));
    assert!(body.frame().await.is_none());
    is_usable(&mut client).await;
}

#[tokio::test]
async fn a_body_that_does_not_end_in_time_is_reset() {
    let (mut client, mut resets) = connect().await;
    let layer = Builder::default().scope(WholeBody).build_fixed(LIMIT);
    let response = layer
        .layer(send(&client))
        .oneshot(request("/trickle"))
        .await;
    let mut body = response.unwrap().into_body();
    let error = loop {
        if let Err(error) = body.frame().await.unwrap() {
            break error;
        }
    };
    assert_eq!(
        error.downcast_ref::<Elapsed>().unwrap().scope(),
        Scope::WholeBody
    );
    assert_eq!(
        reset(&mut resets).await,
        ("/trickle".into(), Reason::CANCEL)
    );
    is_usable(&mut client).await;
}

#[tokio::test]
async fn a_request_that_its_caller_gives_up_is_reset() {
    let (mut client, mut resets) = connect().await;
    let service = AdaptiveTimeoutLayer::new().layer(send(&client));
    timeout(LIMIT, service.oneshot(request("/hang")))
        .await
        .unwrap_err();
    assert_eq!(reset(&mut resets).await, ("/hang".into(), Reason::CANCEL));
    is_usable(&mut client).await;
}

/// The connection is not to blame: it serves the next request.
async fn is_usable(client: &mut SendRequest<Empty<Bytes>>) {
    let response = client.send_request(request("/answer")).await.unwrap();
    assert_eq!(response.status(), 200);
}

fn request(path: &str) -> Request<Empty<Bytes>> {
    let uri = format!("http://upstream.test{path}");
    Request::get(uri).body(Empty::new()).unwrap()
}

fn send(
    client: &SendRequest<Empty<Bytes>>,
) -> impl Service<Request<Empty<Bytes>>, Response = Response<Incoming>, Error = BoxError> + use<> {
    let mut client = client.clone();
    service_fn(move |request| {
        let response = client.send_request(request);
        async { response.await.map_err(BoxError::from) }
    })
}

type Resets = mpsc::UnboundedReceiver<(String, Reason)>;

async fn reset(resets: &mut Resets) -> (String, Reason) {
    let reset = timeout(Duration::from_secs(10), resets.recv()).await;
    reset.expect("the server sees no reset").unwrap()
}

/// A client of a server that tells which streams were reset.
async fn connect() -> (SendRequest<Empty<Bytes>>, Resets) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, resets) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(socket).await.unwrap();
        while let Some(Ok((request, respond))) = connection.accept().await {
            tokio::spawn(serve(
                request.uri().path().to_owned(),
                respond,
                sender.clone(),
            ));
        }
    });
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (client, connection) = handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    (client, resets)
}

async fn serve(
    path: String,
    mut respond: h2::server::SendResponse<Bytes>,
    resets: mpsc::UnboundedSender<(String, Reason)>,
) {
    let reason = match path.as_str() {
        "/hang" => poll_fn(|cx| respond.poll_reset(cx)).await,
        "/answer" => {
            respond.send_response(Response::new(()), true).unwrap();
            return;
        }
        path => {
            let mut body = respond.send_response(Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(b"first"), false).unwrap();
            loop {
                let pause = match path {
                    "/trickle" => LIMIT / 10,
                    _ => Duration::MAX,
                };
                match timeout(pause, poll_fn(|cx| body.poll_reset(cx))).await {
                    Ok(reason) => break reason,
                    Err(_) => body.send_data(Bytes::from_static(b"more"), false).unwrap(),
                }
            }
        }
    };
    resets.send((path, reason.unwrap())).unwrap();
}

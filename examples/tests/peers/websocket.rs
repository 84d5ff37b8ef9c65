//! WebSocket through the proxy, with tungstenite on both sides.

mod draining;
mod secure;

use std::{future::Future, net::SocketAddr, time::Duration};

use bytes::Bytes;
use examples::proxy::Proxy;
use futures::{SinkExt, StreamExt, future::join_all};
use http::{Response, StatusCode};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, accept_async, client_async,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::{
    front::{Front, bounded},
    raw::RawUpstream,
    support::{
        self, admin::metric_becomes, body::full, body::noise, cleartext, upstream::Upstream,
    },
};

type Socket = WebSocketStream<TcpStream>;

#[tokio::test]
async fn messages_come_back_as_they_were() {
    let upstream = echo();
    let front = Front::start("http1", upstream.address, "");
    let mut socket = connect(front.web()).await;
    for message in [
        Message::text(""),
        Message::text("hello"),
        Message::binary(&b"\x00\xff"[..]),
        Message::binary(noise(1 << 20)),
        Message::text("é".repeat(1 << 19)),
        Message::text("after it"),
    ] {
        socket.send(message.clone()).await.unwrap();
        assert!(next(&mut socket).await == message);
    }
}

#[tokio::test]
async fn a_thousand_messages_keep_their_order() {
    let upstream = echo();
    let front = Front::start("http1", upstream.address, "");
    let (mut sending, mut receiving) = connect(front.web()).await.split();
    let sender = tokio::spawn(async move {
        for number in 0..1000 {
            let message = Message::text(format!("message {number}"));
            sending.send(message).await.unwrap();
        }
    });
    for number in 0..1000 {
        let message = bounded(receiving.next()).await.unwrap().unwrap();
        assert_eq!(message, Message::text(format!("message {number}")));
    }
    sender.await.unwrap();
}

#[tokio::test]
async fn pings_are_answered_from_either_side() {
    let upstream = speaking(|mut socket| async move {
        let ping = Message::Ping(Bytes::from("from the server"));
        socket.send(ping).await.unwrap();
        // Reading is what answers pings.
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Pong(pong) = message {
                let heard = Message::binary(pong);
                socket.send(heard).await.unwrap();
            }
        }
    });
    let front = Front::start("http1", upstream.address, "");
    let mut socket = connect(front.web()).await;
    let ping = Message::Ping(Bytes::from("from the client"));
    socket.send(ping).await.unwrap();
    let mut heard = [
        next(&mut socket).await,
        next(&mut socket).await,
        next(&mut socket).await,
    ];
    heard.sort_by_key(|message| (message.is_ping(), message.is_pong()));
    assert_eq!(
        heard,
        [
            Message::binary("from the server"),
            Message::Pong("from the client".into()),
            Message::Ping("from the server".into()),
        ]
    );
}

#[tokio::test]
async fn the_client_closes_with_a_reason() {
    let (told, mut reasons) = tokio::sync::mpsc::channel(1);
    let upstream = speaking(move |mut socket| {
        let told = told.clone();
        async move {
            let last = socket.next().await.unwrap().unwrap();
            told.send(last).await.unwrap();
            // The handshake ends when the other side's close has been answered.
            while socket.next().await.is_some() {}
        }
    });
    let front = Front::start("http1", upstream.address, "");
    let mut socket = connect(front.web()).await;
    socket.close(Some(reason(4001))).await.unwrap();
    let heard = bounded(reasons.recv()).await.unwrap();
    assert_eq!(heard, Message::Close(Some(reason(4001))));
    let answer = next(&mut socket).await;
    assert_eq!(answer, Message::Close(Some(reason(4001))));
    assert!(bounded(socket.next()).await.is_none(), "it is over");
}

#[tokio::test]
async fn the_server_closes_with_a_reason() {
    let upstream = speaking(|mut socket| async move {
        socket.close(Some(reason(1001))).await.unwrap();
        while socket.next().await.is_some() {}
    });
    let front = Front::start("http1", upstream.address, "");
    let mut socket = connect(front.web()).await;
    let last = next(&mut socket).await;
    assert_eq!(last, Message::Close(Some(reason(1001))));
    assert!(bounded(socket.next()).await.is_none(), "it is over");
}

#[tokio::test]
async fn a_server_that_breaks_off_is_not_taken_for_one_that_closes() {
    let upstream = speaking(|mut socket| async move {
        socket.send(Message::text("last words")).await.unwrap();
    });
    let front = Front::start("http1", upstream.address, "");
    let mut socket = connect(front.web()).await;
    assert_eq!(next(&mut socket).await, Message::text("last words"));
    let end = bounded(socket.next()).await;
    assert!(matches!(end, Some(Err(_))), "{end:?}");
}

/// Needs no upgrade: the proxy passes on what the endpoint says.
#[tokio::test]
async fn a_refusal_is_the_servers_own() {
    let upstream = Upstream::start(|_| async {
        let refusal = Response::builder()
            .status(403)
            .header("x-reason", "not you");
        refusal.body(full("no entry")).unwrap()
    })
    .await;
    let front = Front::start("http1", upstream.address, "");
    let refusal = refused(front.web()).await;
    assert_eq!(refusal.status(), StatusCode::FORBIDDEN);
    assert_eq!(refusal.headers()["x-reason"], "not you");
}

#[tokio::test]
async fn an_endpoint_that_speaks_http2_gets_a_plain_request() {
    let upstream = Upstream::start(|request: http::Request<_>| async move {
        let fields = request.headers();
        assert!(!fields.contains_key("upgrade") && !fields.contains_key("connection"));
        Response::new(full("plain"))
    })
    .await;
    let front = Front::start("http2", upstream.address, "");
    let answer = refused(front.web()).await;
    assert!(
        answer.status() != StatusCode::SWITCHING_PROTOCOLS,
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_hundred_at_once_are_counted() {
    let upstream = echo();
    let front = Front::start("http1", upstream.address, "");
    let open = "proxy_tunnels_open{listener=\"web\"}";
    let total = "proxy_tunnels_total{listener=\"web\"}";
    metric_becomes(front.admin(), total, 0.0).await;
    let mut sockets = join_all((0..100).map(|_| connect(front.web()))).await;
    for (number, socket) in sockets.iter_mut().enumerate() {
        let message = Message::text(format!("of {number}"));
        socket.send(message).await.unwrap();
    }
    for (number, socket) in sockets.iter_mut().enumerate() {
        let message = Message::text(format!("of {number}"));
        assert_eq!(next(socket).await, message);
    }
    metric_becomes(front.admin(), open, 100.0).await;
    drop(sockets);
    metric_becomes(front.admin(), open, 0.0).await;
    metric_becomes(front.admin(), total, 100.0).await;
}

#[tokio::test]
async fn a_quiet_one_ends_and_a_busy_one_stays() {
    let upstream = echo();
    let more =
        "[limits]\nupgrade_idle = \"600ms\"\nidle_timeout = \"300ms\"\nbody_idle = \"300ms\"";
    let front = Front::start("http1", upstream.address, more);
    let mut quiet = connect(front.web()).await;
    let begun = Instant::now();
    let watch = async {
        let end = bounded(quiet.next()).await;
        assert!(!matches!(end, Some(Ok(_))), "{end:?}");
        Instant::now() - begun
    };
    let mut busy = connect(front.web()).await;
    let talk = async {
        for number in 0..15 {
            let message = Message::text(number.to_string());
            busy.send(message.clone()).await.unwrap();
            assert_eq!(next(&mut busy).await, message);
            sleep(Duration::from_millis(100)).await;
        }
    };
    let (lived, ()) = tokio::join!(watch, talk);
    let expected = Duration::from_millis(500)..Duration::from_secs(3);
    assert!(expected.contains(&lived), "{lived:?}");
}

#[tokio::test]
async fn one_in_use_ends_with_the_grace_period() {
    let upstream = echo();
    let (proxy, _directory) = with_grace(upstream.address, "1s");
    let mut socket = connect(proxy.address("web").unwrap()).await;
    let talk = async {
        let mut count = 0;
        while socket.send(Message::text("still here")).await.is_ok() {
            let Some(Ok(_)) = bounded(socket.next()).await else {
                break;
            };
            count += 1;
            sleep(Duration::from_millis(50)).await;
        }
        count
    };
    let begun = Instant::now();
    let drain = async {
        let whole = proxy.drain().await;
        (whole, Instant::now() - begun)
    };
    let (count, (whole, lasted)) = tokio::join!(talk, drain);
    assert!(!whole, "it was still in use");
    assert!(count > 5, "it was served until then: {count}");
    let expected = Duration::from_millis(900)..Duration::from_secs(3);
    assert!(expected.contains(&lasted), "{lasted:?}");
}

#[tokio::test]
async fn one_that_ends_ends_the_drain() {
    let upstream = echo();
    let (proxy, _directory) = with_grace(upstream.address, "30s");
    let mut socket = connect(proxy.address("web").unwrap()).await;
    let draining = tokio::spawn(proxy.drain());
    socket.send(Message::text("still here")).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::text("still here"));
    socket.close(None).await.unwrap();
    while bounded(socket.next()).await.is_some() {}
    let whole = timeout(Duration::from_secs(10), draining).await;
    assert!(whole.expect("nothing is left").unwrap());
}

/// A server that sends everything back.
fn echo() -> RawUpstream {
    speaking(|mut socket| async move {
        while let Some(Ok(message)) = socket.next().await {
            let is_data = message.is_text() || message.is_binary();
            if is_data && socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

fn speaking<F>(speak: impl Fn(Socket) -> F + Clone + Send + Sync + 'static) -> RawUpstream
where
    F: Future<Output = ()> + Send + 'static,
{
    RawUpstream::start(move |stream, _| {
        let speak = speak.clone();
        async move {
            // The proxy's first connection may never be used.
            if let Ok(socket) = accept_async(stream).await {
                speak(socket).await;
            }
        }
    })
}

async fn connect(proxy: SocketAddr) -> Socket {
    let stream = TcpStream::connect(proxy).await.unwrap();
    let (socket, response) = bounded(client_async(URL, stream)).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    socket
}

async fn refused(proxy: SocketAddr) -> Response<Option<Vec<u8>>> {
    let stream = TcpStream::connect(proxy).await.unwrap();
    match bounded(client_async(URL, stream)).await {
        Err(Error::Http(response)) => *response,
        other => panic!("no refusal: {other:?}"),
    }
}

async fn next(socket: &mut Socket) -> Message {
    bounded(socket.next()).await.expect("a message").unwrap()
}

fn reason(code: u16) -> CloseFrame {
    CloseFrame {
        code: CloseCode::from(code),
        reason: "enough".into(),
    }
}

fn with_grace(upstream: SocketAddr, grace: &str) -> (Proxy, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let cluster = format!("endpoints = [\"{upstream}\"]\nbalance = {{ wait = \"10s\" }}");
    let config = cleartext(&cluster);
    let config = config.replace("grace = \"5s\"", &format!("grace = \"{grace}\""));
    (support::start(&directory, &config), directory)
}

const URL: &str = "ws://proxy.test/socket";

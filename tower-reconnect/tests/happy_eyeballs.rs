//! Happy eyeballs on the loopback addresses of both families.
#![cfg(feature = "tcp")]
#![allow(clippy::unwrap_used)]

use std::{error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::{Instant, timeout},
};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_reconnect::{
    ReconnectLayer,
    error::InvalidSetting,
    tcp::{ConnectError, Host, ResolveError, Tcp},
};
use tower_service::Service;

#[tokio::test]
async fn the_first_address_is_used_if_it_is_well() {
    let v6 = listen("[::1]:0").await;
    let v4 = listen("127.0.0.1:0").await;
    let addresses = vec![address(&v6), address(&v4)];
    let stream = Tcp::new().oneshot(addresses).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address(&v6));
    assert!(stream.nodelay().unwrap());
    assert!(
        timeout(Duration::from_millis(400), v4.accept())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_refused_address_costs_no_delay() {
    let v4 = listen("127.0.0.1:0").await;
    let addresses: Arc<[SocketAddr]> = Arc::new([refused("[::1]:0").await, address(&v4)]);
    let started = Instant::now();
    let stream = unhurried().oneshot(addresses).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address(&v4));
    let took = Instant::now() - started;
    assert!(took < DELAY, "{took:?}");
}

/// The other family is next though there is one more address of the first.
#[tokio::test]
async fn an_address_that_does_not_answer_costs_one_delay() {
    let (v6, _full) = black_hole("[::1]:0").await;
    let v4 = listen("127.0.0.1:0").await;
    let addresses = vec![v6, v6, address(&v4)];
    let started = Instant::now();
    let stream = unhurried().oneshot(addresses).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address(&v4));
    let took = Instant::now() - started;
    assert!((DELAY..DELAY * 2).contains(&took), "{took:?}");
}

/// It answers after a second, when its queue has room for the second SYN.
#[tokio::test]
async fn a_slow_address_wins_over_one_that_never_answers() {
    let (slow, (queue, _filling)) = black_hole("127.0.0.1:0").await;
    let (never, _full) = black_hole("[::1]:0").await;
    let connecting = tokio::spawn(Tcp::new().oneshot(vec![never, slow]));
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!connecting.is_finished());
    queue.accept().await.unwrap();
    queue.accept().await.unwrap();
    let stream = timeout(Duration::from_secs(10), connecting).await.unwrap();
    assert_eq!(stream.unwrap().unwrap().peer_addr().unwrap(), slow);
}

#[tokio::test]
async fn when_none_is_well_the_error_names_each_in_its_order() {
    let v6 = refused("[::1]:0").await;
    let (one, other) = (refused("127.0.0.1:0").await, refused("127.0.0.1:0").await);
    let error = Tcp::new().oneshot(vec![one, other, v6]).await.unwrap_err();
    let tried: Vec<_> = error
        .failures()
        .iter()
        .map(|(address, _)| *address)
        .collect();
    assert_eq!(tried, [one, v6, other]);
    for (address, error) in error.failures() {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{address}");
    }
    let text = error.to_string();
    for address in [one, other, v6] {
        assert!(text.contains(&address.to_string()), "{text}");
    }
    let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
    let none = Tcp::new().oneshot(Vec::new()).await.unwrap_err();
    assert!(none.failures().is_empty() && none.to_string().contains("no address"));
}

#[tokio::test]
async fn a_name_is_resolved_and_one_that_cannot_be_is_named() {
    let v4 = listen("127.0.0.1:0").await;
    let port = address(&v4).port();
    let localhost = Host::new("localhost", port);
    assert_eq!(localhost.to_string(), format!("localhost:{port}"));
    let stream = Tcp::new().oneshot(localhost).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address(&v4));
    let error = Tcp::new()
        .oneshot(Host::new("not a name", 1))
        .await
        .unwrap_err();
    let error = error.downcast_ref::<ResolveError>().unwrap();
    assert_eq!(error.name(), "not a name");
    assert!(error.source().is_some() && error.to_string().contains("`not a name`"));
}

/// What the state of a connection shows of it.
#[tokio::test]
async fn the_cause_of_a_failed_dial_names_every_address() {
    let addresses = vec![refused("[::1]:0").await, refused("127.0.0.1:0").await];
    let layer = ReconnectLayer::builder(addresses)
        .eager(true)
        .build()
        .unwrap();
    let mut tcp = Tcp::new();
    let service = layer.layer(service_fn(move |addresses: Vec<SocketAddr>| {
        let connecting = tcp.call(addresses);
        async move {
            connecting
                .await
                .map(|_| service_fn(async |(): ()| io::Result::Ok(())))
        }
    }));
    let mut watch = service.watch();
    let cause = loop {
        assert!(watch.changed().await);
        if let Some(cause) = watch.last_cause() {
            break cause;
        }
    };
    assert_eq!(
        cause
            .downcast_ref::<ConnectError>()
            .unwrap()
            .failures()
            .len(),
        2
    );
}

#[test]
fn settings_out_of_range_are_named() {
    let ms = Duration::from_millis;
    for delay in [ms(10), ms(2000)] {
        assert!(
            Tcp::builder()
                .attempt_delay(delay)
                .first_family_count(16)
                .build()
                .is_ok()
        );
    }
    for (builder, field, allowed) in [
        (
            Tcp::builder().attempt_delay(ms(9)),
            "attempt_delay",
            "10 ms to 2 s",
        ),
        (
            Tcp::builder().attempt_delay(ms(2001)),
            "attempt_delay",
            "10 ms to 2 s",
        ),
        (
            Tcp::builder().first_family_count(0),
            "first_family_count",
            "1 to 16",
        ),
        (
            Tcp::builder().first_family_count(17),
            "first_family_count",
            "1 to 16",
        ),
    ] {
        let error: InvalidSetting = builder.nodelay(false).build().unwrap_err();
        assert_eq!((error.field(), error.allowed()), (field, allowed));
    }
}

/// Longer than a busy machine takes for anything else here.
const DELAY: Duration = Duration::from_secs(1);

fn unhurried() -> Tcp {
    Tcp::builder().attempt_delay(DELAY).build().unwrap()
}

async fn listen(address: &str) -> TcpListener {
    TcpListener::bind(address).await.unwrap()
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().unwrap()
}

/// Nobody listens there: the port was given out a moment ago.
async fn refused(any: &str) -> SocketAddr {
    address(&listen(any).await)
}

/// An address whose SYNs are dropped, because the queue of its listener is full.
async fn black_hole(any: &str) -> (SocketAddr, (TcpListener, Vec<TcpStream>)) {
    let any: SocketAddr = any.parse().unwrap();
    let socket = if any.is_ipv6() {
        TcpSocket::new_v6()
    } else {
        TcpSocket::new_v4()
    };
    let socket = socket.unwrap();
    socket.bind(any).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = address(&listener);
    let mut filling = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
        filling.push(stream.unwrap());
        assert!(filling.len() < 100, "the queue is never full");
    }
    (address, (listener, filling))
}

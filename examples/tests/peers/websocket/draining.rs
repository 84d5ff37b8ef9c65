//! WebSocket while the built binary drains: no conversation is lost that ends in time.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::{SinkExt, StreamExt};
use tokio::{net::TcpStream, task::JoinSet, time::sleep};
use tokio_tungstenite::{client_async, tungstenite::Message};

use super::{URL, echo};
use crate::{
    front::bounded,
    support::{cleartext, eventually, process::ProxyProcess},
};

#[tokio::test]
async fn sigterm_under_load_loses_no_message() {
    let upstream = echo();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proxy.toml");
    let config = cleartext(&format!("endpoints = [\"{}\"]", upstream.address))
        .replace("delay = \"0s\"", "delay = \"1s\"")
        .replace("grace = \"5s\"", "grace = \"20s\"");
    std::fs::write(&path, config).unwrap();
    let mut proxy = ProxyProcess::start(&path, &["web"]).await;
    let answered = Arc::new(AtomicUsize::new(0));
    let mut talkers = JoinSet::new();
    for _ in 0..8 {
        talkers.spawn(keep_talking(proxy.address("web"), answered.clone()));
    }
    eventually("the load is steady", || answered.load(Relaxed) > 200).await;
    proxy.signal("TERM");
    eventually("it drains", || proxy.log().contains("draining")).await;
    let before = answered.load(Relaxed);
    let (mut late, mut failures) = (0, Vec::new());
    while let Some(ended) = talkers.join_next().await {
        match ended.unwrap() {
            Ended::Refused => {}
            Ended::NeverAccepted => late += 1,
            Ended::Failed(failure) => failures.push(failure),
        }
    }
    assert_eq!(failures, Vec::<String>::new(), "{}", proxy.log());
    assert!(late <= 1, "{late} were left in the backlog");
    let after = answered.load(Relaxed) - before;
    assert!(after > 100, "{after} messages were answered meanwhile");
    let ended = proxy.ended(Duration::from_secs(10)).await;
    assert_eq!(ended.code(), Some(0), "{}", proxy.log());
    assert!(!proxy.log().contains("is cut"), "{}", proxy.log());
}

/// How a talker's day ended.
enum Ended {
    Refused,
    /// Its connection came between the listener's last accept and its end.
    NeverAccepted,
    Failed(String),
}

/// One conversation after the other, of half a second each, until the listener has gone.
async fn keep_talking(proxy: SocketAddr, answered: Arc<AtomicUsize>) -> Ended {
    loop {
        let Ok(stream) = TcpStream::connect(proxy).await else {
            return Ended::Refused;
        };
        let mut socket = match bounded(client_async(URL, stream)).await {
            Ok((socket, _)) => socket,
            Err(tokio_tungstenite::tungstenite::Error::Io(_)) => return Ended::NeverAccepted,
            Err(error) => return Ended::Failed(format!("no conversation: {error}")),
        };
        for number in 0..50 {
            let message = Message::text(format!("message {number}"));
            if let Err(error) = socket.send(message.clone()).await {
                return Ended::Failed(format!("not sent: {error}"));
            }
            match bounded(socket.next()).await {
                Some(Ok(answer)) if answer == message => _ = answered.fetch_add(1, Relaxed),
                other => return Ended::Failed(format!("message {number}: {other:?}")),
            }
            sleep(Duration::from_millis(10)).await;
        }
        let _ = socket.close(None).await;
        while let Some(Ok(_)) = bounded(socket.next()).await {}
    }
}

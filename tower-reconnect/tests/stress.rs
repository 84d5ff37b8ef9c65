//! Many threads, and a connection that keeps dying: nobody is left behind.

mod support;

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{interval, timeout},
};
use tower::ServiceExt;
use tower_layer::Layer;
use tower_reconnect::ReconnectLayer;
use tower_service::Service;

use support::{Dial, Peer};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_request_on_a_dying_connection_is_answered_in_the_end() {
    let peer = Peer::new(&[Dial::Accept]);
    let ms = Duration::from_millis;
    let service = peer.connect(ReconnectLayer::builder("peer").backoff(ms(1), ms(3)));
    let watch = service.watch();
    let killer = tokio::spawn({
        let peer = peer.clone();
        async move {
            let mut interval = interval(ms(1));
            loop {
                interval.tick().await;
                peer.links().last().inspect(|link| link.kill());
            }
        }
    });
    let mut clients = JoinSet::new();
    for client in 0..16 {
        let mut own = service.clone();
        let watch = watch.clone();
        clients.spawn(async move {
            let mut request = 0;
            while watch.stats().lost < 25 {
                request += 1;
                if client % 2 == 0 {
                    own = own.clone();
                }
                while own.ready().await.unwrap().call(request).await.is_err() {}
                tokio::task::yield_now().await;
            }
        });
    }
    let answered = timeout(Duration::from_secs(60), clients.join_all()).await;
    answered.unwrap_or_else(|_| panic!("somebody was left behind: {watch:?}"));
    killer.abort();
    assert_eq!(peer.dialling().1, 1, "more than one dial at once");
    let stats = watch.stats();
    assert!(stats.lost >= 25, "{stats:?}");
    assert!(stats.connections - stats.lost <= 1, "{stats:?}");
    drop(service);
    assert!(peer.links().iter().all(|link| link.alive() == 0));
}

/// Handles come and go, called and not, while connections die and their task rests and is started.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_request_on_dying_exclusive_connections_is_answered_in_the_end() {
    let peer = Peer::new(&[Dial::Accept]);
    let ms = Duration::from_millis;
    let builder = ReconnectLayer::builder("peer").backoff(ms(1), ms(3));
    let layer = builder.idle(ms(2)).max_age(ms(20)).build_exclusive();
    let service = layer.unwrap().layer(peer.maker());
    let watch = service.watch();
    let mut clients = JoinSet::new();
    for client in 0..16_u64 {
        let (mut own, watch, peer) = (service.clone(), watch.clone(), peer.clone());
        clients.spawn(async move {
            let mut request = 0;
            // The peer takes a thousand for a busy loop.
            while watch.stats().dials < 600 {
                request += 1;
                match (client + request) % 5 {
                    0 => own = own.clone(),
                    1 => drop(own.clone().ready().await.unwrap()),
                    2 => drop(timeout(ms(1), own.clone().ready()).await),
                    3 => peer.links().last().unwrap().kill(),
                    _ => tokio::time::sleep(ms(1)).await,
                }
                while own.ready().await.unwrap().call(request).await.is_err() {}
            }
        });
    }
    let answered = timeout(Duration::from_secs(60), clients.join_all()).await;
    answered.unwrap_or_else(|_| panic!("somebody was left behind: {watch:?}"));
    assert!(peer.dialling().1 <= 4, "more than allowed at once");
    let stats = watch.stats();
    assert_eq!(stats.dials, stats.connections + stats.failures, "{stats:?}");
    drop(service);
    assert!(peer.links().iter().all(|link| link.alive() == 0));
}

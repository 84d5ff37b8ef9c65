//! Under a balancer an endpoint that is down costs no request: not ready means not picked.

mod support;

use std::time::Duration;

use tokio::time::Instant;
use tower::{ServiceExt, balance::p2c::Balance, discover::ServiceList, load::Constant};
use tower_service::Service;

use support::{Dial, Peer, TICK, pass, settle};

/// With tower's own `Reconnect` about half of these requests fail, with a dial each.
#[tokio::test(start_paused = true)]
async fn one_dead_endpoint_of_two_loses_no_request_and_is_dialled_rarely() {
    let alive = Peer::new(&[Dial::Accept]);
    let dead = Peer::new(&[Dial::Refuse]);
    let endpoints = [&alive, &dead].map(|peer| Constant::new(peer.connect_by_default(), 1));
    let mut balance = Balance::new(ServiceList::new::<u64>(endpoints));
    let started = Instant::now();
    for request in 0..1000 {
        let response = balance.ready().await.unwrap().call(request).await;
        assert_eq!(response.unwrap(), (1, request));
        tokio::time::advance(TICK * 61).await;
        settle().await;
    }
    let minutes = (Instant::now() - started).as_secs() / 60 + 1;
    assert!(dead.dials() > 5, "the balancer waits for it");
    assert!(dead.dials() as u64 <= 20 * minutes, "{}", dead.dials());
    assert_eq!(alive.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_dies_and_comes_back_is_never_lost() {
    let peers = [Peer::new(&[Dial::Accept]), Peer::new(&[Dial::Accept])];
    let endpoints = peers
        .each_ref()
        .map(|peer| Constant::new(peer.connect_by_default(), 1));
    let mut balance = Balance::new(ServiceList::new::<u64>(endpoints));
    balance.ready().await.unwrap();
    for round in 0..20 {
        let peer = &peers[round % 2];
        peer.always(Dial::Refuse);
        peer.links().last().inspect(|link| link.kill());
        for request in 0..20 {
            let response = balance.ready().await.unwrap().call(request).await;
            assert_eq!(response.unwrap().1, request);
        }
        peer.always(Dial::Accept);
        pass(Duration::from_secs(6)).await;
    }
    let calls = peers.map(|peer| peer.links().iter().map(|link| link.calls()).sum::<usize>());
    assert!(calls.iter().all(|calls| *calls > 50), "{calls:?}");
}

//! `tower::reconnect` under `tower::balance`.

use std::time::Duration;

use tokio::time::timeout;
use tower::{ServiceExt, balance::p2c::Balance, discover::ServiceList, load::Constant};
use tower_service::Service;

use crate::{
    support::{Dial, Peer},
    theirs::{still, theirs},
};

const REQUESTS: u64 = 400;

/// How many requests fail.
async fn failures<S>(endpoints: [S; 2]) -> usize
where
    S: Service<u64>,
    S::Error: Into<tower::BoxError>,
{
    let endpoints = endpoints.map(|endpoint| Constant::new(endpoint, 1));
    let mut balance = Balance::new(ServiceList::new::<u64>(endpoints));
    let mut failures = 0;
    for request in 0..REQUESTS {
        let ready = balance.ready().await;
        let answer = ready.ok().unwrap().call(request).await;
        failures += usize::from(answer.is_err());
    }
    failures
}

#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_of_two_gets_no_request() {
    let peers = || [Peer::new(&[Dial::Accept]), Peer::new(&[Dial::Refuse])];
    let ours = peers();
    let failed = failures(ours.each_ref().map(Peer::connect_by_default)).await;
    assert_eq!(failed, 0);
    assert!(ours[1].dials() <= 2, "no time has passed");

    let towers = peers();
    let failed = failures(towers.each_ref().map(theirs)).await;
    still(
        failed as u64 > REQUESTS / 4 && towers[1].dials() as u64 > REQUESTS / 4,
        "half of all requests go to the dead endpoint, with a dial each",
    );
}

/// grpc-rust #2839: what is polled twice dials twice.
#[tokio::test(start_paused = true)]
async fn a_balancer_of_dead_endpoints_does_not_dial_without_end() {
    let minute = Duration::from_secs(60);
    let slow = Dial::RefuseAfter(Duration::from_millis(6));
    let peer = Peer::new(&[slow]);
    let endpoint = Constant::new(peer.connect_by_default(), 1);
    let mut balance = Balance::new(ServiceList::new::<u64>([endpoint]));
    assert!(timeout(minute, balance.ready()).await.is_err());
    assert!((13..=16).contains(&peer.dials()), "{}", peer.dials());

    let peer = Peer::new(&[slow]);
    let endpoint = Constant::new(theirs(&peer), 1);
    let mut balance = Balance::new(ServiceList::new::<u64>([endpoint]));
    let waited = timeout(minute, balance.ready()).await;
    // The peer stops it after a thousand.
    still(
        waited.is_err() && peer.dials() > 1000,
        "it dials again and again, is never ready, and tells of no error",
    );
}

//! Subsets, weights and zones.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::future::join_all;
use http::{Response, StatusCode, Version};
use tokio::{io::AsyncWriteExt, time::sleep};

use super::{Field, addresses, answering};
use crate::{
    front::{bounded, get},
    raw::{RawUpstream, head},
    support::{admin, body::empty, client::Client, upstream::Upstream},
};

#[tokio::test]
async fn connections_are_made_to_the_subset_only() {
    let upstreams: Vec<_> = (0..12).map(|_| kept_alive()).collect();
    let of_all: Vec<_> = upstreams.iter().map(|it| it.address).collect();
    let mut field = Field::start(&addresses(&of_all), "balance = { subset = 3 }").await;
    for _ in 0..60 {
        assert_eq!(field.get("/").await, StatusCode::OK);
    }
    let status = field.status();
    assert_eq!((status.known, status.endpoints.len()), (12, 3));
    let listed: Vec<_> = status.endpoints.iter().map(|it| it.address).collect();
    let connected = upstreams.iter().filter(|it| it.connections() > 0);
    let connected: Vec<_> = connected.map(|it| it.address).collect();
    assert_eq!(connected, listed, "in the order of the configuration");
    let known = admin::metric(
        field.proxy.admin(),
        "proxy_endpoints_known{cluster=\"backend\"}",
    );
    assert_eq!(known.await, Some(12.0));
    let (_, metrics) = admin::get(field.proxy.admin(), "/metrics").await;
    let weights = metrics
        .lines()
        .filter(|line| line.starts_with("proxy_endpoint_weight{"));
    assert_eq!(weights.count(), 3);
}

#[tokio::test]
async fn a_heavy_endpoint_gets_more() {
    let (light, _) = answering(|| Response::new(empty())).await;
    let (heavy, seen) = answering(|| Response::new(empty())).await;
    let endpoints = format!(
        "\"{}\", {{ address = \"{}\", weight = 3 }}",
        light.address, heavy.address
    );
    // Drawn by weight alone.
    let mut field = Field::start(&endpoints, "balance = { choices = 1 }").await;
    for _ in 0..400 {
        field.get("/").await;
    }
    let seen = seen.lock().unwrap().len();
    // Three quarters, within five standard deviations.
    assert!((257..=343).contains(&seen), "{seen}");
    let weights: Vec<_> = field
        .status()
        .endpoints
        .iter()
        .map(|it| it.weight)
        .collect();
    assert_eq!(weights, [1.0, 3.0]);
}

#[tokio::test]
async fn the_own_zone_is_preferred_and_left_when_it_is_slow() {
    let slow = Arc::new(AtomicBool::new(false));
    let shared = slow.clone();
    let near = Upstream::start(move |_| {
        let slow = shared.load(Relaxed);
        async move {
            sleep(Duration::from_millis(if slow { 200 } else { 20 })).await;
            Response::new(empty())
        }
    })
    .await;
    let far = Upstream::start(|_| async {
        sleep(Duration::from_millis(20)).await;
        Response::new(empty())
    })
    .await;
    let endpoints = format!(
        "{{ address = \"{}\", zone = \"b\" }}, {{ address = \"{}\", zone = \"a\" }}",
        far.address, near.address
    );
    let mut field = Field::start(&endpoints, "balance = { zone = \"a\" }").await;
    for _ in 0..20 {
        field.get("/").await;
    }
    let requests = |field: &Field| field.status().endpoints.into_iter().map(|it| it.requests);
    let [of_far, of_near] = [0, 1].map(|place| requests(&field).nth(place).unwrap());
    assert!(of_near > 15, "{of_near} near, {of_far} far");
    let zones = field
        .status()
        .endpoints
        .into_iter()
        .map(|it| it.zone.unwrap());
    assert_eq!(
        zones.collect::<Vec<_>>(),
        ["b", "a"],
        "as they were written"
    );
    slow.store(true, Relaxed);
    let address = field.proxy.address("web").unwrap();
    let asking = (0..20).map(|_| async move {
        let mut client = Client::connect(address, Version::HTTP_11).await;
        bounded(client.send(get("/"))).await.unwrap().status()
    });
    let answers = join_all(asking).await;
    assert_eq!(answers, [StatusCode::OK; 20]);
    let spilt = requests(&field).next().unwrap() - of_far;
    assert!(spilt > 0, "no request went to the other zone");
}

fn kept_alive() -> RawUpstream {
    RawUpstream::start(|mut stream, _| async move {
        while head(&mut stream).await.is_some() {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    })
}

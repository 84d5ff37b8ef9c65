//! Answers that never end must not make an endpoint look busier than it is.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "support/web.rs"]
mod web;

use std::time::Duration;

use futures::{StreamExt as _, stream::FuturesUnordered};
use http::{Request, Response};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{sleep, timeout};
use tokio_test::{assert_pending, task};
use tower::ServiceExt as _;
use tower_balance_p2c::{Completion, http::AtEndOfBody};
use web::{Body, LATENCY, Pool, Server, empty, endless, pool, seen, servers};

#[derive(Clone, Copy, Debug)]
enum Endless {
    /// No head ever.
    Head,
    /// A head, a frame, and no end.
    Body,
}

/// In times that vary, as if by chance.
fn plainly(server: &Server) {
    let mut random = StdRng::seed_from_u64(server.key.into());
    server.reply(move || {
        let millis = -11.0 * (1.0 - random.random::<f64>()).ln();
        let latency = Duration::from_secs_f64(millis / 1e3);
        (Some(latency), Response::new(empty()))
    });
}

/// Keeps one endless answer of each of `keepers`, and returns the share of each server in what
/// `clients` send one after the other.
async fn shares<const N: usize>(kind: Endless, keepers: &[usize], clients: usize) -> [f64; N] {
    let servers = servers::<N>();
    let balance = pool(AtEndOfBody, &servers).await;
    warm_up(&balance, 16 * N).await;
    let (mut unanswered, mut bodies) = (Vec::new(), Vec::new());
    for &keeper in keepers {
        let server = &servers[keeper];
        server.reply(move || match kind {
            Endless::Head => (None, Response::new(empty())),
            Endless::Body => (Some(LATENCY), Response::new(endless())),
        });
        let calls = server.calls();
        while server.calls() == calls {
            let mut request = task::spawn(balance.clone().oneshot(Request::new(())));
            assert_pending!(request.poll());
            if server.calls() == calls {
                request.await.unwrap();
            } else if matches!(kind, Endless::Head) {
                unanswered.push(request);
            } else {
                bodies.push(request.await.unwrap());
            }
        }
        plainly(server);
    }
    for key in 0..N {
        let in_flight = seen(&balance, key as u8 + 1).in_flight;
        assert_eq!(in_flight, usize::from(keepers.contains(&key)));
    }
    let clients = (0..clients).map(|client| {
        let balance = balance.clone();
        async move {
            // Out of step.
            sleep(Duration::from_micros(1003 * client as u64)).await;
            loop {
                balance.clone().oneshot(Request::new(())).await.unwrap();
            }
        }
    });
    let mut clients = futures::future::join_all(clients);
    // What the requests so far have taught about latency is forgotten.
    let _: Result<Vec<()>, _> = timeout(Duration::from_secs(120), &mut clients).await;
    let before = servers.each_ref().map(Server::calls);
    let _: Result<Vec<()>, _> = timeout(Duration::from_secs(60), clients).await;
    let calls = servers.each_ref().map(Server::calls);
    let all: usize = calls.iter().sum::<usize>() - before.iter().sum::<usize>();
    assert!(all > 1000);
    let mut shares = [0.0; N];
    for (share, (calls, before)) in shares.iter_mut().zip(calls.iter().zip(before)) {
        *share = (calls - before) as f64 / all as f64;
    }
    shares
}

async fn warm_up<T>(balance: &Pool<T>, requests: usize)
where
    T: Completion<Response<Body>>,
{
    let requests = (0..requests).map(|_| balance.clone().oneshot(Request::new(())));
    let mut requests: FuturesUnordered<_> = requests.collect();
    while let Some(result) = requests.next().await {
        assert!(result.is_ok());
    }
}

async fn one_each_changes_no_share(kind: Endless, clients: usize) {
    let shares = shares::<4>(kind, &[0, 1, 2, 3], clients).await;
    let is_fair = |share| (0.17..0.33).contains(share);
    assert!(shares.iter().all(is_fair), "{clients} clients: {shares:?}");
}

#[tokio::test(start_paused = true)]
async fn one_endless_body_for_each_endpoint_changes_no_share() {
    for clients in [4, 16] {
        one_each_changes_no_share(Endless::Body, clients).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_long_poll_for_each_endpoint_changes_no_share_of_a_busy_set() {
    one_each_changes_no_share(Endless::Head, 16).await;
}

#[tokio::test(start_paused = true)]
async fn one_long_poll_for_each_endpoint_changes_no_share_of_an_idle_set() {
    one_each_changes_no_share(Endless::Head, 4).await;
}

/// Of sixteen clients, and one request that is kept, each endpoint should have a fourth.
async fn one_that_keeps_an_answer_has_that_much_less_to_do(kind: Endless) {
    let shares = shares::<4>(kind, &[0], 16).await;
    let expected = (17.0 / 4.0 - 1.0) / 16.0;
    let is_right = shares[0] > expected * 0.5 && shares[0] < 0.26;
    assert!(is_right, "{shares:?} and not {expected}");
    let others = (1.0 - shares[0]) / 3.0;
    let is_like = |share: &f64| (share / others - 1.0).abs() < 0.3;
    assert!(shares[1..].iter().all(is_like), "{shares:?}");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_keeps_a_body_has_one_request_less_to_do() {
    one_that_keeps_an_answer_has_that_much_less_to_do(Endless::Body).await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_keeps_a_long_poll_has_one_request_less_to_do() {
    one_that_keeps_an_answer_has_that_much_less_to_do(Endless::Head).await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_with_a_long_poll_still_gets_requests() {
    let shares = shares::<2>(Endless::Head, &[0], 4).await;
    assert!(shares[0] > 0.1, "{shares:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_an_end_is_not_silence() {
    let servers = servers::<1>();
    let balance = pool(AtEndOfBody, &servers).await;
    servers[0].reply(|| (Some(LATENCY), Response::new(endless())));
    let _kept = balance.clone().oneshot(Request::new(())).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    let stats = seen(&balance, 1);
    assert_eq!(stats.in_flight, 1);
    assert_eq!(stats.silence, Duration::ZERO);
    assert_eq!(stats.latency, Some(LATENCY));

    servers[0].reply(|| (None, Response::new(empty())));
    let mut hangs = task::spawn(balance.clone().oneshot(Request::new(())));
    assert_pending!(hangs.poll());
    sleep(Duration::from_millis(703)).await;
    assert_eq!(seen(&balance, 1).silence, Duration::from_millis(703));
}

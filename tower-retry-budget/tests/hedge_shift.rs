//! The delay while latencies change, and while there is nothing to tell it from.

use std::time::Duration;

use tokio::time::{Instant, advance, timeout};
use tower::Layer;
use tower_retry_budget::hedge::{Hedge, HedgeLayer};

#[path = "support/backend.rs"]
mod backend;

use backend::{Backend, ByText, Failure, Instance, MS, layer, learnt, send, tokens};

const SECOND: Duration = Duration::from_secs(1);

/// One request after another for so long.
async fn traffic(service: &mut Hedge<Instance, ByText>, duration: Duration) {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        send(service).await.expect("answered");
    }
}

fn delay(layer: &HedgeLayer<ByText>) -> Duration {
    layer.stats().delay.expect("known")
}

#[tokio::test(start_paused = true)]
async fn nothing_is_hedged_until_there_is_data() {
    let backend = Backend::default();
    let layer = layer(&tokens(50));
    let mut service = layer.layer(backend.instance());
    backend.usually_takes(500 * MS);
    for _ in 0..15 {
        send(&mut service).await.expect("answered");
    }
    // Not a single one is known to be fast, and a hundred answers are asked for.
    backend.usually_takes(10 * MS);
    for _ in 0..80 {
        send(&mut service).await.expect("answered");
    }
    assert_eq!((layer.stats().delay, layer.stats().hedged), (None, 0));
    traffic(&mut service, SECOND).await;
    assert!(layer.stats().delay.is_some());
}

#[tokio::test(start_paused = true)]
async fn failures_are_no_data() {
    let backend = Backend::default();
    let layer = layer(&tokens(50));
    let mut service = layer.layer(backend.instance());
    for number in 0..1000 {
        let outcome = if number % 2 == 0 {
            Ok("bad")
        } else {
            Err(Failure("reset"))
        };
        backend.will_answer([(10 * MS, outcome)]);
        let _ = send(&mut service).await;
    }
    assert_eq!(layer.stats().delay, None);
}

#[tokio::test(start_paused = true)]
async fn a_failure_does_not_make_it_shorter() {
    let backend = Backend::default();
    let layer = layer(&tokens(50));
    let mut service = learnt(&layer, &backend).await;
    for _ in 0..500 {
        backend.will_answer([(MS, Err(Failure("reset"))), (10 * MS, Ok(""))]);
        let _ = send(&mut service).await;
        send(&mut service).await.expect("answered");
    }
    assert!((10 * MS..=12 * MS).contains(&delay(&layer)));
}

#[tokio::test(start_paused = true)]
async fn it_is_off_again_a_window_after_the_last_request() {
    let backend = Backend::default();
    let layer = layer(&tokens(50));
    let mut service = learnt(&layer, &backend).await;
    advance(8 * SECOND).await;
    assert!(layer.stats().delay.is_some());
    advance(4 * SECOND).await;
    assert_eq!(layer.stats().delay, None);
    backend.will_answer([(100 * MS, Ok("slow"))]);
    assert_eq!(send(&mut service).await, Ok("slow"));
    // What was learnt before is not learnt from again.
    send(&mut service).await.expect("answered");
    assert_eq!((layer.stats().delay, layer.stats().hedged), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn it_follows_within_a_window_when_everything_gets_slower() {
    for hedges in [0, 10_000] {
        let (budget, backend) = (tokens(1.max(hedges)), Backend::default());
        if hedges == 0 {
            let _ = budget.try_withdraw(tower_retry_budget::Kind::Hedge);
        }
        let layer = layer(&budget);
        let mut service = learnt(&layer, &backend).await;
        traffic(&mut service, 10 * SECOND).await;
        backend.usually_takes(50 * MS);
        traffic(&mut service, 10 * SECOND).await;
        let delay = delay(&layer);
        assert!(
            (50 * MS..=53 * MS).contains(&delay),
            "{delay:?} with {hedges}"
        );
        let before = layer.stats().hedged;
        traffic(&mut service, 10 * SECOND).await;
        assert_eq!(layer.stats().hedged, before, "steady again");
    }
}

#[tokio::test(start_paused = true)]
async fn it_follows_within_a_window_when_everything_gets_faster() {
    let backend = Backend::default();
    let layer = layer(&tokens(50));
    let mut service = layer.layer(backend.instance());
    backend.usually_takes(50 * MS);
    traffic(&mut service, 20 * SECOND).await;
    assert!(delay(&layer) >= 50 * MS);
    backend.usually_takes(10 * MS);
    traffic(&mut service, 11 * SECOND).await;
    assert!((10 * MS..=12 * MS).contains(&delay(&layer)));
}

/// Of a hundred requests, 93 take 10 ms, four 30 ms, and three 300 ms unless their hedges win after
/// 40 ms. Were those left out, the quantile would seem to be 10 ms.
#[tokio::test(start_paused = true)]
async fn superseded_losers_do_not_bias_the_quantile() {
    let (budget, backend) = (tokens(10_000), Backend::default());
    let layer = layer(&budget);
    let mut service = learnt(&layer, &backend).await;
    for number in 0..3000 {
        let latency = match number * 37 % 100 {
            0..3 => 300,
            3..7 => 30,
            _ => 10,
        };
        let hedged = layer
            .stats()
            .delay
            .is_some_and(|delay| latency * MS > delay + 2 * MS);
        backend.will_answer([(latency * MS, Ok("first"))]);
        backend.will_answer(hedged.then_some((40 * MS, Ok("second"))));
        send(&mut service).await.expect("answered");
    }
    let (delay, stats) = (delay(&layer), layer.stats());
    assert!((30 * MS..=33 * MS).contains(&delay), "{delay:?}");
    assert!(stats.won_second > 80, "{stats:?}");
}

/// A tenth hangs, which is more than the quantile leaves. All that is known of the quantile then
/// is that it lies beyond the slowest answer, and that is where hedges are sent: the delay neither runs away
/// nor ends.
#[tokio::test(start_paused = true)]
async fn where_more_hang_than_the_quantile_leaves_they_are_hedged() {
    let backend = Backend::default();
    let layer = layer(&tokens(10_000));
    let mut service = learnt(&layer, &backend).await;
    for number in 0..3000 {
        let is_hung = number % 10 == 0;
        backend.will_answer([(if is_hung { 3600 * SECOND } else { 10 * MS }, Ok("first"))]);
        backend.will_answer(is_hung.then_some((10 * MS, Ok("second"))));
        send(&mut service).await.expect("answered");
        let delay = delay(&layer);
        assert!((10 * MS..=12 * MS).contains(&delay), "{delay:?}");
    }
    let stats = layer.stats();
    assert_eq!((stats.hedged, stats.won_second), (300, 300));
}

/// Hedging helps nobody then. Each request is tried a second time while what was learnt lasts,
/// and no longer than a window.
#[tokio::test(start_paused = true)]
async fn when_all_hang_it_ends_after_a_window() {
    let backend = Backend::default();
    let layer = layer(&tokens(10_000));
    let mut service = learnt(&layer, &backend).await;
    backend.usually_takes(3600 * SECOND);
    for _ in 0..150 {
        let _ = timeout(100 * MS, send(&mut service)).await;
    }
    let stats = layer.stats();
    assert_eq!(stats.delay, None);
    assert!((50..=100).contains(&stats.hedged), "{stats:?}");
    assert_eq!((stats.won_first, stats.won_second), (0, 0));
}

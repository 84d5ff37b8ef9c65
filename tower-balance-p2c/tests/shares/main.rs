//! Who gets how much: by weight and by zone, in virtual time and with seeds.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod world;

use tower_balance_p2c::{Attributes, BalanceLayer, Weight};
use world::{Server, Time, World};

fn layer(seed: u64) -> BalanceLayer<()> {
    BalanceLayer::builder().seed(seed).build().unwrap()
}

/// A server that has as many workers as it weighs.
fn weighing(weight: usize, time: Time) -> Server {
    Server {
        attributes: Attributes::new().weight(Weight::new(weight as f64).unwrap()),
        workers: weight,
        millis: 10.0,
        time,
    }
}

/// Each class of weights gets its share, within a part of it and what chance does to so few requests.
async fn shares_follow_weights(weights: &[usize], servers: usize, time: Time, tolerance: f64) {
    let requests = 60_000;
    for load in [0.1, 0.5, 0.9] {
        let set: Vec<_> = (0..servers)
            .map(|server| weights[server % weights.len()])
            .collect();
        let sum: usize = set.iter().sum();
        let servers = set.iter().map(|&weight| weighing(weight, time));
        let mut world = World::new(layer(7), servers.collect(), 11).await;
        let per_second = load * sum as f64 * 100.0;
        world.run(requests / 4, per_second).await;
        world.reset();
        world.run(requests, per_second).await;
        for &weight in weights {
            let of_class = set.iter().zip(&world.picks).filter(|(w, _)| **w == weight);
            let picks: u64 = of_class.map(|(_, picks)| picks).sum();
            let share = picks as f64 / requests as f64;
            let members = set.iter().filter(|w| **w == weight).count();
            let expected = (members * weight) as f64 / sum as f64;
            let chance = 3.0 * (expected * (1.0 - expected) / requests as f64).sqrt();
            let off = (share - expected).abs();
            assert!(
                off <= expected * tolerance + chance,
                "{} servers at {load}, {time:?}, weight {weight}: {share:.4} and not {expected:.4}",
                set.len(),
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn three_servers_get_what_they_weigh() {
    shares_follow_weights(&[1, 2, 3], 3, Time::Constant, 0.02).await;
}

#[tokio::test(start_paused = true)]
async fn sixteen_servers_get_what_they_weigh() {
    shares_follow_weights(&[1, 3], 16, Time::Constant, 0.02).await;
}

#[tokio::test(start_paused = true)]
async fn seventeen_servers_get_what_they_weigh() {
    shares_follow_weights(&[1, 4], 17, Time::Constant, 0.02).await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_servers_get_what_they_weigh() {
    shares_follow_weights(&[1, 2, 5], 1000, Time::Constant, 0.02).await;
}

#[tokio::test(start_paused = true)]
async fn a_light_one_among_heavy_ones_gets_what_it_weighs() {
    for weights in [[1, 30], [1, 100], [1, 1000]] {
        shares_follow_weights(&weights, 2, Time::Constant, 0.05).await;
    }
}

#[tokio::test(start_paused = true)]
async fn latencies_that_vary_by_chance_shift_little() {
    for (weights, servers) in [(&[1, 2, 3][..], 3), (&[1, 4], 17)] {
        shares_follow_weights(weights, servers, Time::Random, 0.25).await;
    }
}

/// Four near servers and four far ones, all alike, at so many times what the near ones can do.
async fn far_share(load: f64, far_millis: f64) -> (f64, f64) {
    let server = |zone, millis| Server {
        attributes: Attributes::new().zone(zone),
        workers: 4,
        millis,
        time: Time::Random,
    };
    let near = std::iter::repeat_n(server("a", 10.0), 4);
    let far = std::iter::repeat_n(server("b", far_millis), 4);
    let layer = BalanceLayer::builder().seed(3).zone("a").build().unwrap();
    let mut world = World::new(layer, near.chain(far).collect(), 5).await;
    let requests = 30_000;
    world.run(requests / 4, load * 1600.0).await;
    world.reset();
    world.run(requests, load * 1600.0).await;
    let far: u64 = world.picks[4..].iter().sum();
    (far as f64 / requests as f64, world.quantile(0.99))
}

#[tokio::test(start_paused = true)]
async fn the_own_zone_is_used_while_it_has_capacity_and_spills_over_by_load() {
    let mut before = 0.0;
    let mut shares = Vec::new();
    for tenths in [3, 5, 7, 8, 9, 10, 11, 12, 14, 16] {
        let load = f64::from(tenths) / 10.0;
        let (share, p99) = far_share(load, 10.0).await;
        shares.push((load, share, p99));
        if load <= 0.5 {
            assert!(share < 0.02, "{shares:?}");
        }
        // What the near servers cannot do goes elsewhere, and nothing waits for it.
        assert!(share >= (1.0 - 1.0 / load) * 0.85, "{shares:?}");
        assert!(p99 < 120.0, "{shares:?}");
        // No cliff: a tenth more load moves no more than a quarter of the requests.
        assert!(
            share >= before - 0.02 && share - before < 0.25,
            "{shares:?}"
        );
        before = share;
    }
}

#[tokio::test(start_paused = true)]
async fn without_endpoints_in_the_own_zone_all_are_used() {
    let server = |zone| Server {
        attributes: Attributes::new().zone(zone),
        workers: 1,
        millis: 10.0,
        time: Time::Random,
    };
    let layer = BalanceLayer::builder().seed(3).zone("z").build().unwrap();
    let mut world = World::new(layer, vec![server("a"), server("b")], 5).await;
    world.run(1000, 50.0).await;
    assert!(
        world.picks.iter().all(|&picks| picks > 250),
        "{:?}",
        world.picks
    );
}

/// The near zone turns slow, and is asked for one thing at a time, so that nothing piles up.
#[tokio::test(start_paused = true)]
async fn a_zone_that_is_slow_is_left_for_one_that_nobody_has_tried() {
    let server = |zone, millis| Server {
        attributes: Attributes::new().zone(zone),
        workers: 8,
        millis,
        time: Time::Constant,
    };
    let layer = BalanceLayer::builder().seed(3).zone("a").build().unwrap();
    let mut world = World::new(layer, vec![server("a", 20.0), server("b", 20.0)], 5).await;
    world.run(100, 5.0).await;
    assert_eq!(world.picks[1], 0);
    world.slow_down(0, 10.0);
    world.reset();
    world.run(200, 2.0).await;
    assert!(world.picks[1] > 100, "{:?}", world.picks);
}

//! Clients spread evenly over endpoints, whatever their numbers and the keys are like.

#[path = "../src/subset/score.rs"]
mod score;

use std::{
    collections::HashSet,
    hash::Hash,
    net::{Ipv4Addr, SocketAddr},
};

use score::score;

const SIZE: usize = 20;

/// The positions of the endpoints that `client` chooses.
fn subset<K: Hash>(client: u64, keys: &[K]) -> Vec<usize> {
    let mut ranked: Vec<_> = (0..keys.len()).collect();
    ranked.sort_by_key(|&index| u64::MAX - score(client, &keys[index]));
    ranked.truncate(SIZE);
    ranked
}

/// How many of `clients` choose each endpoint.
fn loads<K: Hash>(clients: impl Iterator<Item = u64>, keys: &[K]) -> Vec<f64> {
    let mut loads = vec![0.0; keys.len()];
    for client in clients {
        for index in subset(client, keys) {
            loads[index] += 1.0;
        }
    }
    loads
}

/// As a binomial distribution: 1,000 draws, each with a chance of a tenth.
fn assert_binomial<K: Hash>(clients: impl Iterator<Item = u64>, keys: &[K]) {
    let (draws, chance) = (1_000.0, SIZE as f64 / keys.len() as f64);
    let (mean, variance) = (draws * chance, draws * chance * (1.0 - chance));
    let loads = loads(clients, keys);
    let squares = loads.iter().map(|load| (load - mean).powi(2));
    let spread = squares.sum::<f64>() / keys.len() as f64 / variance;
    // 200 endpoints: a standard deviation of 0.1.
    assert!((0.6..1.4).contains(&spread), "{spread}");
    // The largest of 200 is 2.7 standard deviations from the mean, on average.
    let furthest = loads.iter().map(|load| (load - mean).abs());
    let furthest = furthest.fold(0.0, f64::max) / variance.sqrt();
    assert!(furthest < 4.2, "{furthest}");
}

fn names() -> Vec<String> {
    let names = (0..200).map(|host| format!("10.1.{}.{}:8080", host / 100, host % 100));
    names.collect()
}

fn addresses() -> Vec<SocketAddr> {
    let hosts = (0..200).map(|host| Ipv4Addr::from_bits(0x0a01_0000 + host));
    hosts.map(|host| (host, 8080).into()).collect()
}

#[test]
fn numbers_in_a_row_spread() {
    let clients = 0..1_000;
    assert_binomial(clients.clone(), &Vec::from_iter(0..200_u32));
    assert_binomial(clients.clone(), &Vec::from_iter(0..200_usize));
    assert_binomial(clients.clone(), &Vec::from_iter(0..200_i128));
    assert_binomial(clients.clone(), &names());
    assert_binomial(clients, &addresses());
}

#[test]
fn clients_that_differ_in_high_bits_only_spread() {
    let clients = (0..1_000).map(|client| client << 54);
    assert_binomial(clients, &names());
    let clients = (0..1_000).map(|client| client << 54);
    assert_binomial(clients, &Vec::from_iter(0..200_u64));
}

#[test]
fn neighbours_have_no_more_in_common_than_strangers() {
    let keys = names();
    let subsets = (0..1_001).map(|client| subset(client, &keys));
    let subsets: Vec<HashSet<_>> = subsets.map(HashSet::from_iter).collect();
    let common = subsets.windows(2).map(|pair| (&pair[0] & &pair[1]).len());
    // A fifth of 20 × 20 ÷ 200, over a thousand pairs, is fifteen standard deviations.
    let mean = common.sum::<usize>() as f64 / 1_000.0;
    assert!((1.8..2.2).contains(&mean), "{mean}");
}

#[test]
fn many_endpoints_for_few_clients_are_a_lottery() {
    let keys: Vec<_> = (0..1_000_u32).collect();
    let loads = loads(0..100, &keys);
    let idle = loads.iter().filter(|&&load| load == 0.0).count();
    assert!((100..170).contains(&idle), "{idle}");
    let most = loads.iter().copied().fold(0.0, f64::max);
    assert!((6.0..=10.0).contains(&most), "{most}");
}

#[test]
fn scores_do_not_change_with_releases() {
    // The first of SplitMix64's reference sequence for the seed 1234567, which is the state
    // before the first word. `()` feeds nothing.
    assert_eq!(score(1_234_567, &()), 6_457_827_717_110_365_317);
    assert_eq!(score(0, &1_u8), score(0, &1_u64));
    assert_eq!(score(0, &-1_isize), score(0, &u64::MAX));
    assert_eq!(score(7, "host:8080"), 13_067_481_851_559_420_984);
    assert_eq!(score(7, &80_u16), 7_461_653_057_704_591_287);
}

#[test]
fn bytes_are_told_from_their_padding() {
    let zeros = [0_u8; 20];
    let scores = (0..20).map(|len| score(0, &zeros[..len]));
    assert_eq!(scores.collect::<HashSet<_>>().len(), 20);
    assert_ne!(score(0, "a"), score(0, "a\0"));
    assert_ne!(score(0, &("ab", "c")), score(0, &("a", "bc")));
}

//! The choice itself: who may be chosen, how often, and that a seed repeats it.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "../src/pick.rs"]
mod pick;
#[path = "../src/sampler.rs"]
mod sampler;
#[path = "../src/weights.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod weights;

use pick::{Best, BestOfEqual, Choices, Offer, TIE, sample, scan};
use proptest::prelude::*;
use rand::{Rng, SeedableRng as _, rngs::StdRng};
use sampler::Sampler;
use weights::{BestByWeight, drawn_level, level, unit};

const DRAWS: u32 = 20_000;

fn equal(len: usize) -> Sampler {
    Sampler::new(0, &vec![1.0; len])
}

/// As the balancer does it.
fn choose<B: Best, R: Rng>(
    sampler: &Sampler,
    choices: usize,
    rng: &mut R,
    offer: impl FnMut(usize, &mut R) -> Option<Offer>,
) -> Option<usize> {
    let found = match Choices::Exactly(choices).of(sampler.len()) {
        None => scan::<B, _>(sampler, rng, offer),
        Some(choices) => sample::<B, _>(sampler, choices, rng, || true, offer),
    };
    Some(found?.index)
}

fn costing(cost: f64) -> Offer {
    Offer::of_equal(cost)
}

/// How often each index was chosen in [`DRAWS`] picks.
fn histogram<B: Best>(
    sampler: &Sampler,
    choices: usize,
    eligible: impl Fn(usize) -> bool,
    cost: impl Fn(usize) -> f64,
) -> Vec<u32> {
    let mut rng = StdRng::seed_from_u64(17);
    let mut chosen = vec![0; sampler.range().end];
    for _ in 0..DRAWS {
        let offer = |index, _: &mut _| eligible(index).then(|| costing(cost(index)));
        chosen[choose::<B, _>(sampler, choices, &mut rng, offer).unwrap()] += 1;
    }
    chosen
}

fn assert_share(count: u32, share: f64, tolerance: f64) {
    let found = f64::from(count) / f64::from(DRAWS);
    assert!((found - share).abs() <= tolerance, "{found} is not {share}");
}

#[test]
fn small_sets_are_compared_as_a_whole_and_eight_of_big_ones() {
    assert_eq!(Choices::Auto.of(1), None);
    assert_eq!(Choices::Auto.of(16), None);
    assert_eq!(Choices::Auto.of(17), Some(8));
    assert_eq!(Choices::Auto.of(10_000), Some(8));
    assert_eq!(Choices::Exactly(2).of(2), None);
    assert_eq!(Choices::Exactly(2).of(3), Some(2));
}

#[test]
fn equals_are_equally_likely() {
    for choices in [1, 2, 8, 9, usize::MAX] {
        for count in histogram::<BestOfEqual>(&equal(10), choices, |_| true, |_| 1.0) {
            assert_share(count, 0.1, 0.01);
        }
    }
}

#[test]
fn near_equals_are_equally_likely() {
    let cost = |index| 100.0 + index as f64;
    for count in histogram::<BestOfEqual>(&equal(4), 4, |_| true, cost) {
        assert_share(count, 0.25, 0.01);
    }
}

#[test]
fn those_that_are_not_eligible_favour_nobody() {
    for (len, eligible) in [(5, 3), (40, 10), (40, 2), (200, 5)] {
        // In a run, where a scan from a random start would favour the first.
        let chosen = histogram::<BestOfEqual>(&equal(len), 2, |index| index < eligible, |_| 1.0);
        let share = 1.0 / eligible as f64;
        for &count in &chosen[..eligible] {
            assert_share(count, share, 0.015);
        }
        assert!(chosen[eligible..].iter().all(|&count| count == 0));
    }
}

#[test]
fn two_choices_rank_endpoints_as_the_theory_says() {
    // Of n, the one of rank k (from 0) wins against those behind it: 2 (n - 1 - k) / (n (n - 1)).
    let chosen = histogram::<BestOfEqual>(&equal(5), 2, |_| true, |index| 2f64.powi(index as i32));
    for (rank, &count) in chosen.iter().enumerate() {
        assert_share(count, 2.0 * (4 - rank) as f64 / 20.0, 0.01);
    }
    assert_eq!(chosen[4], 0);
}

#[test]
fn draws_follow_the_weights() {
    let weights = [1.0, 2.0, 3.0, 0.001, 94.0];
    let sum: f64 = weights.iter().sum();
    let sampler = Sampler::new(7, &weights);
    for choices in [1, 2, 3] {
        let chosen = histogram::<BestByWeight>(&sampler, choices, |_| true, |_| 1.0);
        for (weight, &count) in weights.iter().zip(&chosen[7..]) {
            assert_share(count, weight / sum, 0.01);
        }
    }
}

#[test]
fn each_weight_is_chosen_by_the_room_that_it_has_and_in_it_the_least_busy() {
    // Three that weigh one, of which one is busy, and one that weighs five, with two in flight.
    let weights = [1.0, 1.0, 1.0, 5.0];
    let in_flight = [0, 1, 0, 2];
    let sampler = Sampler::new(0, &weights);
    let mut rng = StdRng::seed_from_u64(17);
    let mut chosen = [0; 4];
    for _ in 0..DRAWS {
        let offer = |index: usize, _: &mut _| {
            let (queue, room) = level(in_flight[index], weights[index]);
            Some(Offer {
                cost: queue + 1.0,
                room,
                weight: weights[index],
                in_flight: in_flight[index],
            })
        };
        chosen[choose::<BestByWeight, _>(&sampler, 4, &mut rng, offer).unwrap()] += 1;
    }
    // Room for one each, and for three.
    for (count, share) in chosen.into_iter().zip([0.2, 0.0, 0.2, 0.6]) {
        assert_share(count, share, 0.012);
    }
}

#[test]
fn the_unit_is_the_lightest_unless_that_is_hardly_anything() {
    let of = |weights: &[f64]| unit(weights.iter().copied());
    assert_eq!(of(&[]), 1.0);
    assert_eq!(of(&[2.0, 2.0]), 2.0);
    assert_eq!(of(&[1.0, 3.0]), 1.0);
    assert_eq!(of(&[0.001, 1.0]), 1.001 / 2.0 / 16.0);
}

#[test]
fn the_same_seed_makes_the_same_choices() {
    let choices = |seed| {
        let mut rng = StdRng::seed_from_u64(seed);
        let offer = |_, _: &mut _| Some(costing(1.0));
        let mut next = || choose::<BestOfEqual, _>(&equal(100), 2, &mut rng, offer);
        std::array::from_fn::<_, 32, _>(|_| next())
    };
    assert_eq!(choices(5), choices(5));
    assert_ne!(choices(5), choices(6));
}

#[test]
fn an_endpoint_of_weight_three_is_three_endpoints() {
    let levels: Vec<_> = (0..7).map(|in_flight| level(in_flight, 3.0)).collect();
    let expected = [
        (0.0, 3.0),
        (0.0, 2.0),
        (0.0, 1.0),
        (1.0, 3.0),
        (1.0, 2.0),
        (1.0, 1.0),
        (2.0, 3.0),
    ];
    assert_eq!(levels, expected);
    assert_eq!(level(5, 1.0), (5.0, 1.0));
    assert_eq!(level(1, 0.5), (2.0, 0.5));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_chosen_one_is_eligible_if_any_is(
        eligible in prop::collection::vec(any::<bool>(), 1..80),
        choices in 1..20_usize,
        seed in any::<u64>(),
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let offer = |index: usize, _: &mut _| {
            eligible[index].then_some(costing(1.0))
        };
        let chosen = choose::<BestOfEqual, _>(&equal(eligible.len()), choices, &mut rng, offer);
        prop_assert_eq!(chosen.is_some(), eligible.contains(&true));
        prop_assert!(chosen.is_none_or(|index| eligible[index]));
    }

    #[test]
    fn the_chosen_one_is_the_cheapest_of_as_many_as_asked_for(
        costs in prop::collection::vec(1.0..1e9_f64, 1..40),
        choices in 1..16_usize,
        seed in any::<u64>(),
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut looked_at = Vec::new();
        let offer = |index: usize, _: &mut _| {
            looked_at.push(index);
            Some(costing(costs[index]))
        };
        let chosen = choose::<BestOfEqual, _>(&equal(costs.len()), choices, &mut rng, offer).unwrap();
        let least = looked_at.iter().map(|&index| costs[index]).fold(f64::MAX, f64::min);
        prop_assert!(costs[chosen] <= least * (1.0 + TIE) * (1.0 + TIE));
        looked_at.sort_unstable();
        looked_at.dedup();
        prop_assert!(looked_at.len() <= choices.min(costs.len()));
        // Rejecting what was drawn twice may give up early where nearly all are asked for.
        if choices * 2 <= costs.len() || choices >= costs.len() {
            prop_assert_eq!(looked_at.len(), choices.min(costs.len()));
        }
    }

    #[test]
    fn a_drawn_endpoint_is_on_average_as_busy_as_it_is(
        in_flight in 0..1000_u32,
        weight in 0.01..100.0_f64,
        seed in any::<u64>(),
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let draws = 2_000;
        let sum: f64 = (0..draws)
            .map(|_| drawn_level(in_flight, weight, rng.random()))
            .sum();
        let mean = sum / f64::from(draws);
        prop_assert!((mean - f64::from(in_flight) / weight).abs() < 0.1);
        let (scanned, room) = level(in_flight, weight);
        prop_assert!(scanned <= f64::from(in_flight) / weight);
        prop_assert!(room > 0.0 && room <= weight * (1.0 + 1e-9));
    }

    #[test]
    fn a_sampler_never_leaves_its_range(
        weights in prop::collection::vec(0.001..1000.0_f64, 1..300),
        offset in 0..1000_usize,
        seed in any::<u64>(),
    ) {
        let sampler = Sampler::new(offset, &weights);
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..100 {
            prop_assert!(sampler.range().contains(&sampler.draw(&mut rng)));
        }
    }
}

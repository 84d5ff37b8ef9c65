//! The choice itself: who may be chosen, how often, and that a seed repeats it.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "../src/pick.rs"]
mod pick;

use pick::pick;
use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};

const DRAWS: u32 = 20_000;

/// How often each index was chosen in [`DRAWS`] picks.
fn histogram(
    len: usize,
    choices: usize,
    eligible: impl Fn(usize) -> bool,
    cost: impl Fn(usize) -> f64,
) -> Vec<u32> {
    let mut rng = StdRng::seed_from_u64(17);
    let mut chosen = vec![0; len];
    for _ in 0..DRAWS {
        chosen[pick(len, choices, &eligible, &cost, &mut rng).unwrap()] += 1;
    }
    chosen
}

fn assert_share(count: u32, share: f64, tolerance: f64) {
    let found = f64::from(count) / f64::from(DRAWS);
    assert!((found - share).abs() <= tolerance, "{found} is not {share}");
}

#[test]
fn equals_are_equally_likely() {
    for choices in [1, 2, 8, 9, usize::MAX] {
        for count in histogram(10, choices, |_| true, |_| 1.0) {
            assert_share(count, 0.1, 0.01);
        }
    }
}

#[test]
fn near_equals_are_equally_likely() {
    let cost = |index| 100.0 + index as f64;
    for count in histogram(4, 4, |_| true, cost) {
        assert_share(count, 0.25, 0.01);
    }
}

#[test]
fn those_that_are_not_eligible_favour_nobody() {
    for (len, eligible) in [(5, 3), (40, 10), (40, 2), (200, 5)] {
        // In a run, where a scan from a random start would favour the first.
        let chosen = histogram(len, 2, |index| index < eligible, |_| 1.0);
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
    let chosen = histogram(5, 2, |_| true, |index| 2f64.powi(index as i32));
    for (rank, &count) in chosen.iter().enumerate() {
        assert_share(count, 2.0 * (4 - rank) as f64 / 20.0, 0.01);
    }
    assert_eq!(chosen[4], 0);
}

#[test]
fn the_same_seed_makes_the_same_choices() {
    let choices = |seed| {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut next = || pick(100, 2, |_| true, |_| 1.0, &mut rng);
        std::array::from_fn::<_, 32, _>(|_| next())
    };
    assert_eq!(choices(5), choices(5));
    assert_ne!(choices(5), choices(6));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_chosen_one_is_eligible_if_any_is(
        eligible in prop::collection::vec(any::<bool>(), 0..80),
        choices in 1..20_usize,
        seed in any::<u64>(),
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let chosen = pick(eligible.len(), choices, |index| eligible[index], |_| 1.0, &mut rng);
        prop_assert_eq!(chosen.is_some(), eligible.contains(&true));
        prop_assert!(chosen.is_none_or(|index| eligible[index]));
    }

    #[test]
    fn the_chosen_one_is_the_cheapest_of_as_many_as_asked_for(
        costs in prop::collection::vec(1.0..1e9_f64, 1..40),
        choices in 1..50_usize,
        seed in any::<u64>(),
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let looked_at = std::cell::RefCell::new(Vec::new());
        let cost = |index: usize| {
            looked_at.borrow_mut().push(index);
            costs[index]
        };
        let chosen = pick(costs.len(), choices, |_| true, cost, &mut rng).unwrap();
        let mut looked_at = looked_at.into_inner();
        let least = looked_at.iter().map(|&index| costs[index]).fold(f64::MAX, f64::min);
        prop_assert!(costs[chosen] <= least * (1.0 + pick::TIE) * (1.0 + pick::TIE));
        looked_at.sort_unstable();
        looked_at.dedup();
        prop_assert_eq!(looked_at.len(), choices.min(costs.len()));
    }
}

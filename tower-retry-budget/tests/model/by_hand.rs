//! Histories of the bucket that were made up by hand.

use proptest::prelude::*;

use crate::{
    bucket::{Bucket, Rates, SETTLE_EVERY, TOKEN},
    ledger::{Ledger, Terms},
};

const SECOND: u64 = 1_000_000_000;

/// A full one that never holds more than its burst.
struct Full {
    bucket: Bucket,
    burst: i64,
}

impl Full {
    fn new(burst: i64, per_success: i64, per_second: u64) -> Self {
        let rates = Rates {
            per_success,
            per_second,
            burst,
        };
        Self {
            bucket: Bucket::new(rates, burst),
            burst,
        }
    }

    fn take(&self, now: u64) -> bool {
        let held = self.bucket.hold(now);
        self.bucket.withdraw(TOKEN, self.burst, held).is_ok()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_refill_loses_nothing_to_rounding(
        per_second in 0..=10 * TOKEN as u64,
        mut times in prop::collection::vec(0..100 * SECOND, 1..100),
    ) {
        // Room for all that accrues, so that only rounding could lose any.
        let full = Full::new(1_200 * TOKEN, 0, per_second);
        prop_assert!((0..1_100).all(|_| full.take(0)));
        times.sort_unstable();
        let mut taken = 0;
        for now in &times {
            taken += i64::from(full.take(*now));
        }
        let last = times.last().copied().unwrap_or_default();
        let accrued = (u128::from(last) * u128::from(per_second) / u128::from(SECOND)) as i64;
        let balance = full.bucket.balance(full.burst, last);
        prop_assert_eq!(balance, 100 * TOKEN + accrued - taken * TOKEN);
    }
}

#[test]
fn the_rate_is_exact_over_ten_minutes_of_odd_steps() {
    let full = Full::new(TOKEN, 0, 10 * TOKEN as u64);
    assert!(full.take(0));
    let (mut now, mut granted) = (0, 0);
    while now < 600 * SECOND {
        now += 1_003_000;
        granted += u32::from(full.take(now));
    }
    // The burst of one token loses what accrues above it before the next look.
    assert!((5_940..=6_000).contains(&granted), "{granted}");
}

#[test]
fn a_jump_of_the_clock_and_back_costs_no_tokens() {
    let full = Full::new(2 * TOKEN, TOKEN / 5, 10 * TOKEN as u64);
    assert!(full.take(0));
    assert!(full.take(3_600 * SECOND));
    assert!(full.take(1_000));
    assert!(!full.take(1_000));
    (0..5).for_each(|_| full.bucket.deposit());
    assert!(full.take(1_000));
}

/// Each pays in so much that a few lanes full of them would wrap the level around.
#[test]
fn where_nothing_is_withdrawn_deposits_do_not_pile_up() {
    let full = Full::new(TOKEN, i64::MAX >> 18, 0);
    for _ in 0..16 * SETTLE_EVERY {
        full.bucket.deposit();
    }
    assert!(full.take(0));
    assert!(!full.take(0));
}

#[test]
fn a_month_of_idling_is_one_step_and_fills_it_once() {
    let month = 30 * 86_400 * SECOND;
    let full = Full::new(3 * TOKEN, TOKEN, TOKEN as u64);
    for start in [0, month, 100 * month] {
        assert!((0..3).all(|_| full.take(start)));
        assert!(!full.take(start));
    }
}

#[test]
fn after_a_look_that_found_enough_no_clock_is_read() {
    let rates = Rates {
        per_success: TOKEN,
        per_second: 0,
        burst: 3 * TOKEN,
    };
    let ledger = Ledger::new(Terms {
        rates,
        reserve: 3 * TOKEN,
        window: SECOND,
        cheapest: TOKEN,
        follow_success: true,
    });
    let mut looks = 0;
    for _ in 0..100 {
        ledger.deposit();
        ledger.withdraw(TOKEN, 0).unwrap();
        for _ in 0..100 {
            assert!(ledger.looks_affordable(|| {
                looks += 1;
                0
            }));
        }
    }
    // One for each time that as much was taken as there was at the last.
    assert!((1..=50).contains(&looks), "{looks}");
}
